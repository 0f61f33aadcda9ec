/** Runs cargo on the engine, in the build folder that `npm run bootstrap` fills, so that only changes are compiled. */
import { join } from "node:path";
import { cacheDirectory, repositoryRoot } from "../bootstrap/artifacts.ts";
import { patchCrates } from "../bootstrap/patched-crates.ts";
import { run } from "./command.ts";

/** `[sub-command, …arguments]`; resolves to the problem, or to undefined. */
export function cargo(
  [command = "", ...args]: string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  patchCrates();
  return run("cargo", [command, "--manifest-path", join(repositoryRoot, "engine/Cargo.toml"), ...args], {
    env: { ...env, CARGO_TARGET_DIR: join(cacheDirectory(), "cargo-target") },
  });
}
