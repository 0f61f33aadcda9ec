/**
 * The engine's tests under AddressSanitizer: all `unsafe` code is in src/{tun,udp,os}, and unit tests and the tests of the running
 * engine call it with real sockets and a real TUN. Needs root, as they do.
 *
 *   npm run sanitize -- [arguments of cargo test]
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { cacheDirectory, repositoryRoot } from "../bootstrap/artifacts.ts";
import { patchCrates } from "../bootstrap/patched-crates.ts";

patchCrates();
const target = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`;
const manifest = join(repositoryRoot, "engine/Cargo.toml");
const args = ["test", "--locked", "--manifest-path", manifest, "--target", target, ...process.argv.slice(2)];
const { status, error } = spawnSync("cargo", args, {
  env: {
    ...process.env,
    // Sanitizers on the stable compiler.
    RUSTC_BOOTSTRAP: "1",
    RUSTFLAGS: "-Zsanitizer=address",
    CARGO_TARGET_DIR: join(cacheDirectory(), "sanitize-target"),
  },
  stdio: "inherit",
});
if (error !== undefined) console.error(`cargo: ${error.message}`);
process.exit(status ?? 1);
