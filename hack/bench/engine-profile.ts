/**
 * Makes the profile that the engine is compiled with: an engine that counts what it does carries traffic of all kinds between
 * two nodes, and its counts become engine/profile/engine.profdata.
 *
 *   npm run bench:profile        three minutes; do it after a change of what every packet passes, or of the compiler
 *
 * It needs LLVM's llvm-profdata, not older than the compiler's LLVM: `rustup component add llvm-tools` brings it.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artifacts, cacheDirectory, recordArtifacts } from "../bootstrap/artifacts.ts";
import { compileEngine, ENGINE_PROFILE, ENGINE_SOURCE } from "../bootstrap/engine-build.ts";

/** Bulk both ways, small packets, pings beside bulk, repair of losses, a path that dies. */
const MEASURES = "tcp1,tcp4,udp200,ping-idle,ping-loaded,loss-0.5,failover";

const profiler = findProfiler();
const counts = mkdtempSync(join(tmpdir(), "saf-profile-"));
const { engine } = artifacts();
try {
  console.log("profile: building an engine that counts");
  const counting = compileEngine(join(cacheDirectory(), "cargo-target-profile"), [
    `-Cprofile-generate=${counts}`,
  ]);
  // Build scripts and macros counted too.
  for (const name of readdirSync(counts)) rmSync(join(counts, name));
  recordArtifacts({ engine: counting });
  run(process.execPath, [
    join(import.meta.dirname, "main.ts"),
    "--only=fabric",
    `--measures=${MEASURES}`,
    "--rounds=1",
    "--seconds=3",
  ]);
  const written = readdirSync(counts).map((name) => join(counts, name));
  if (written.length === 0) throw new Error("the engines wrote no profile");
  const profile = join(ENGINE_SOURCE, ENGINE_PROFILE);
  run(profiler, ["merge", "--sparse", `--output=${profile}`, ...written]);
  console.log(`profile: ${(statSync(profile).size / 1e3).toFixed(0)} KB`);
} finally {
  recordArtifacts({ engine });
  rmSync(counts, { recursive: true, force: true });
}

function findProfiler(): string {
  const print = (what: string): string =>
    execFileSync("rustc", ["--print", what], { encoding: "utf8" }).trim();
  const own = join(print("sysroot"), "lib/rustlib", print("host-tuple"), "bin/llvm-profdata");
  return existsSync(own) ? own : "llvm-profdata";
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
}
