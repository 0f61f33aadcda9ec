/**
 * Runs the test files that start programs of their own (`*.e2e.test.ts`, `*.lab.test.ts`): each file in a jest of its own and in a network
 * namespace of its own, so no port of one can be taken by another, several at a time. The last line is `program tests: N passed, M failed`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { repositoryRoot } from "../bootstrap/artifacts.ts";
import { buildLazily } from "../bootstrap/lazy-tools.ts";
import { jest } from "./jest.ts";
import { type TestCount, addCounts, countOfJest } from "./test-count.ts";

/** Most of the time they wait: for an outage to have lasted, for a lease to run out. More would only measure the machine. */
const AT_A_TIME = availableParallelism() + 1;
/** The slowest file takes two minutes. What hangs fails, by its name, and before the whole stage is given up with nobody to end its programs. */
const FILE_TIMEOUT_MS = 8 * 60_000;

const withLoopback = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/** Whole fabrics first: what starts last should not be what takes longest. */
const waiting = ["operator/src/e2e/*.e2e.test.ts", "*/**/*.{e2e,lab}.test.ts"]
  .flatMap((pattern) => globSync(pattern, { cwd: repositoryRoot, exclude: ["**/node_modules", "**/target"] }))
  .filter((file, index, files) => files.indexOf(file) === index);

// Here and not by the tests: their networks lead nowhere.
for (const tool of ["helm", "kustomize"] as const) buildLazily(tool);

let total: TestCount = { passed: 0, failed: 0 };
await Promise.all(Array.from({ length: AT_A_TIME }, runWaiting));
console.log(`program tests: ${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

async function runWaiting(): Promise<void> {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const count = await runFile(file);
    total = addCounts(total, count);
  }
}

/** What it says is shown when it has ended, so two files' lines do not mix. */
async function runFile(file: string): Promise<TestCount> {
  const [program, ...args] = [...withLoopback, ...jest, "--runInBand", "--runTestsByPath", file];
  const child = spawn(program, args, {
    cwd: repositoryRoot,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: FILE_TIMEOUT_MS,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  process.stdout.write(output);
  const counted = countOfJest(output) ?? { passed: 0, failed: 0 };
  if ((code === 0 && counted.passed > 0) || counted.failed > 0) return counted;
  console.log(
    `${file}: ${code === null ? `ended after ${FILE_TIMEOUT_MS / 60_000} minutes` : "no test ran to its end"}`,
  );
  return { ...counted, failed: 1 };
}
