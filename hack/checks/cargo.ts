/** Runs cargo on one of the crates, in the build folder that `npm run bootstrap` fills, so that only changes are compiled. */
import { join } from "node:path";
import { cacheDirectory, repositoryRoot } from "../bootstrap/artifacts.ts";
import { patchCrates } from "../bootstrap/patched-crates.ts";
import { run } from "./command.ts";

/** Folders of the tree's crates. */
export type Crate = "engine" | "hack/bench/forwarder";

/** `[sub-command, …arguments]`; resolves to the problem, or to undefined. */
export function cargo(
  crate: Crate,
  [command = "", ...args]: string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (crate === "engine") patchCrates();
  return run("cargo", [command, "--manifest-path", join(repositoryRoot, crate, "Cargo.toml"), ...args], {
    env: { ...env, CARGO_TARGET_DIR: join(cacheDirectory(), "cargo-target") },
  });
}
