/** Builds the forwarder and the delay line of hack/bench/forwarder. */
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../../bootstrap/artifacts.ts";
import { buildOnce, contentHash } from "../../bootstrap/build-cache.ts";

export interface ForwarderBinaries {
  readonly forwarder: string;
  readonly delayLine: string;
}

export function buildForwarder(say: (text: string) => void): ForwarderBinaries {
  const source = join(import.meta.dirname, "../forwarder");
  const files = globSync(["Cargo.toml", "Cargo.lock", "src/**/*.rs"], { cwd: source }).map((file) =>
    join(source, file),
  );
  const compiler = execFileSync("rustc", ["--version", "--verbose"], { encoding: "utf8" }).trim();
  const key = contentHash(source, files, [compiler]);
  const { directory } = buildOnce(join(cacheDirectory(), "bench-forwarder"), key, (target) => {
    say("building the forwarder of hack/bench");
    const cargoTarget = join(cacheDirectory(), "cargo-target");
    execFileSync("cargo", ["build", "--release", "--locked", "--quiet"], {
      cwd: source,
      env: { ...process.env, CARGO_TARGET_DIR: cargoTarget },
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const [built, name] of [
      ["bench-forwarder", "forwarder"],
      ["delay-line", "delay-line"],
    ] as const)
      copyFileSync(join(cargoTarget, "release", built), join(target, name));
  });
  return { forwarder: join(directory, "forwarder"), delayLine: join(directory, "delay-line") };
}
