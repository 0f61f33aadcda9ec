/** Compiles the engine with what a run under load taught the compiler: docs/decisions/0013-profile-guided-engine.md. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./artifacts.ts";

export const ENGINE_SOURCE = join(repositoryRoot, "engine");
/** Made by `npm run bench:profile`; relative to the source. Functions that changed since are compiled without it. */
export const ENGINE_PROFILE = "profile/engine.profdata";

/** Returns the binary's path. `flags` are the compiler's, beside those of the environment. */
export function compileEngine(cargoTarget: string, flags: readonly string[]): string {
  // Cargo goes by times, and the last build may be that of a newer work tree.
  for (const root of ["src/lib.rs", "src/main.rs"])
    utimesSync(join(ENGINE_SOURCE, root), new Date(), new Date());
  execFileSync("cargo", ["build", "--release", "--locked", "--quiet", "--bin", "fabric-engine"], {
    cwd: ENGINE_SOURCE,
    env: { ...process.env, CARGO_TARGET_DIR: cargoTarget, CARGO_ENCODED_RUSTFLAGS: encoded(flags) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return join(cargoTarget, "release/fabric-engine");
}

/** As it is released. */
export function compileRelease(cargoTarget: string): string {
  const profile = readFileSync(join(ENGINE_SOURCE, ENGINE_PROFILE));
  // Cargo compiles anew when a flag changes, not when a file does that a flag names.
  const named = join(
    cargoTarget,
    `${createHash("sha256").update(profile).digest("hex").slice(0, 16)}.profdata`,
  );
  mkdirSync(cargoTarget, { recursive: true });
  writeFileSync(named, profile);
  // A profile that is a little old is no reason to warn of every function that changed.
  return compileEngine(cargoTarget, [`-Cprofile-use=${named}`, "-Cllvm-args=-no-pgo-warn-mismatch"]);
}

/** https://doc.rust-lang.org/cargo/reference/environment-variables.html: cargo takes one of the two variables, and paths may have spaces. */
function encoded(flags: readonly string[]): string {
  const { CARGO_ENCODED_RUSTFLAGS, RUSTFLAGS } = process.env;
  const present = CARGO_ENCODED_RUSTFLAGS?.split("\x1f") ?? RUSTFLAGS?.split(" ") ?? [];
  return [...present, ...flags].filter((flag) => flag !== "").join("\x1f");
}
