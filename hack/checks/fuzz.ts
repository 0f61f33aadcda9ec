/**
 * Feeds a parser of the engine with bytes that cargo-fuzz makes up, under AddressSanitizer. What it finds is kept outside the work
 * tree and begun with the next time; an input that fails is left in engine/fuzz/artifacts, and belongs to the seeds once it passes.
 *
 *   npm run fuzz -- [target|all] [seconds]      default: all, 60 seconds each
 *   targets: the files of engine/fuzz/fuzz_targets
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, repositoryRoot } from "../bootstrap/artifacts.ts";
import { patchCrates } from "../bootstrap/patched-crates.ts";

const CARGO_FUZZ = "0.13.2";
/** A superframe and its header are 65,545 bytes; more says nothing new. */
const MAX_INPUT_BYTES = 70_000;

const fuzz = join(repositoryRoot, "engine/fuzz");
const tools = join(cacheDirectory(), "tools");
const targets = readdirSync(join(fuzz, "fuzz_targets")).map((file) => file.replace(/\.rs$/, ""));
const [wanted = "all", seconds = "60"] = process.argv.slice(2);
const chosen = wanted === "all" ? targets : targets.filter((target) => target === wanted);
if (chosen.length === 0 || !/^\d+$/.test(seconds)) {
  console.error(`usage: npm run fuzz -- [${["all", ...targets].join("|")}] [seconds]`);
  process.exit(2);
}

patchCrates();
if (!existsSync(join(tools, "bin/cargo-fuzz"))) {
  cargo(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root", tools]);
}
for (const target of chosen) {
  const corpus = join(cacheDirectory(), "fuzz", target);
  mkdirSync(corpus, { recursive: true });
  console.log(`── ${target}, ${seconds} s`);
  const limits = [`-max_total_time=${seconds}`, `-max_len=${MAX_INPUT_BYTES}`, "-print_final_stats=1"];
  cargo(["fuzz", "run", "--fuzz-dir", fuzz, target, corpus, join(fuzz, "seeds", target), "--", ...limits]);
}

function cargo(args: readonly string[]): void {
  const { status, error } = spawnSync("cargo", args, {
    // The folder decides which toolchain rustup takes.
    cwd: repositoryRoot,
    env: {
      ...process.env,
      // Sanitizers and coverage on the stable compiler.
      RUSTC_BOOTSTRAP: "1",
      CARGO_TARGET_DIR: join(cacheDirectory(), "fuzz-target"),
      PATH: `${join(tools, "bin")}:${process.env["PATH"]}`,
    },
    stdio: "inherit",
  });
  if (error !== undefined) console.error(`cargo: ${error.message}`);
  if (status !== 0) process.exit(1);
}
