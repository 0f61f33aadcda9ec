/**
 * `npm test`: everything, what is fast first. Stops at the first stage that fails; the last line is
 * `tests: N passed, M failed`, and the exit code is 0 only when M is 0.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { cacheDirectory, repositoryRoot } from "../bootstrap/artifacts.ts";
import { jest } from "./jest.ts";
import {
  type TestCount,
  addCounts,
  countOfCargo,
  countOfChecks,
  countOfJest,
  countOfSummary,
} from "./test-count.ts";

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  readonly count: (output: string) => TestCount | undefined;
}

/** The slowest stage, a cold cargo test, takes 5 minutes on two cores. What hangs fails. */
const STAGE_TIMEOUT_MS = 20 * 60_000;

const node = process.execPath;
const stages: readonly Stage[] = [
  { name: "static checks", command: [node, "hack/checks/check.ts"], count: countOfChecks },
  {
    name: "unit tests, TypeScript",
    // The pattern on the command line replaces those of jest.config.js, so they are repeated.
    command: [...jest, "--testPathIgnorePatterns", "\\.(e2e|lab)\\.test\\.ts$", "/node_modules/", "/target/"],
    count: countOfJest,
  },
  {
    name: "unit tests, Rust",
    command: ["cargo", "test", "--locked", "--quiet", "--manifest-path", "engine/Cargo.toml"],
    count: countOfCargo,
  },
  {
    name: "unit tests of the bench's forwarder, Rust",
    command: ["cargo", "test", "--locked", "--quiet", "--manifest-path", "hack/bench/forwarder/Cargo.toml"],
    count: countOfCargo,
  },
  {
    name: "end-to-end tests and labs",
    command: [node, "hack/checks/program-tests.ts"],
    count: (output) => countOfSummary("program tests", output),
  },
  {
    name: "the demo",
    command: [node, "hack/demo/main.ts", "--once"],
    count: (output) => countOfSummary("demo", output),
  },
];

process.on("SIGINT", () => {}); // the stage gets it too, cleans up and ends; then this ends
let total: TestCount = { passed: 0, failed: 0 };
for (const stage of stages) {
  console.log(`\n── ${stage.name}`);
  const startedMs = performance.now();
  const count = await runStage(stage);
  total = addCounts(total, count);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`── ${stage.name}: ${count.passed} passed, ${count.failed} failed in ${seconds} s`);
  if (count.failed > 0) break;
}
console.log(`\ntests: ${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** Runs a stage and shows what it says. A stage that ends badly, or without having run a test, counts as failed. */
async function runStage({ command, count }: Stage): Promise<TestCount> {
  const [file, ...args] = command;
  const child = spawn(file!, args, {
    cwd: repositoryRoot,
    env: { ...process.env, CARGO_TARGET_DIR: join(cacheDirectory(), "cargo-target") },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: STAGE_TIMEOUT_MS,
  });
  let output = "";
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      to.write(text);
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  const counted = count(output) ?? { passed: 0, failed: 1 };
  return code === 0 || counted.failed > 0 ? counted : { ...counted, failed: 1 };
}
