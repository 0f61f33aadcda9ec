/**
 * Builds the binaries of this tree that npm does not bring: the control plane (Go) and the engine (Rust). What is
 * built already is found by its content and not built again. Called by bootstrap.sh, which holds the lock.
 *
 *   node hack/bootstrap/main.ts [control-plane] [engine]      default: both
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync, readFileSync, symlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, recordArtifacts, repositoryRoot } from "./artifacts.ts";
import { buildOnce, contentHash } from "./build-cache.ts";
import { patchCrates } from "./patched-crates.ts";

const targets: Record<string, () => void> = { "control-plane": buildControlPlane, engine: buildEngine };

if (Number.parseInt(process.versions.node) < 24)
  throw new Error(`needs Node 24 and runs under ${process.version}: use \`npm run bootstrap\``);
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(targets)) {
  const target = targets[name];
  if (target === undefined)
    throw new Error(`no such target: ${name}; there are ${Object.keys(targets).join(", ")}`);
  target();
}

function buildControlPlane(): void {
  const source = join(repositoryRoot, "hack/control-plane");
  const files = globSync(["*.go", "go.mod", "go.sum"], { cwd: source }).map((file) => join(source, file));
  const version = kubernetesVersion(join(source, "go.mod"));
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags", linkerFlags(version)];
  const key = contentHash(source, files, [output("go", ["version"]), ...flags]);
  const { directory } = buildOnce(join(cacheDirectory(), "control-plane"), key, (target) => {
    step(
      `control plane: Kubernetes ${version} with etcd (5 to 8 minutes the first time, seconds after a change)`,
      () => {
        run("go", ["build", ...flags, "-o", join(target, "control-plane"), "."], source);
        symlinkSync("control-plane", join(target, "kubectl"));
      },
    );
  });
  recordArtifacts({ controlPlane: join(directory, "control-plane"), kubectl: join(directory, "kubectl") });
}

function buildEngine(): void {
  patchCrates();
  const source = join(repositoryRoot, "engine");
  const patterns = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "rust-toolchain.toml",
    "src/**/*.rs",
    "patches/*/*",
  ];
  const files = globSync(patterns, { cwd: source }).map((file) => join(source, file));
  const key = contentHash(source, files, [output("rustc", ["--version", "--verbose"])]);
  const { directory } = buildOnce(join(cacheDirectory(), "engine"), key, (target) => {
    step("engine: fabric-engine (1 to 3 minutes the first time, half a minute after a change)", () => {
      const cargoTarget = cargoTargetDirectory();
      // Cargo goes by times, and the last build may be that of a newer work tree.
      for (const root of ["src/lib.rs", "src/main.rs"])
        utimesSync(join(source, root), new Date(), new Date());
      run("cargo", ["build", "--release", "--locked", "--quiet", "--bin", "fabric-engine"], source, {
        CARGO_TARGET_DIR: cargoTarget,
      });
      copyFileSync(join(cargoTarget, "release/fabric-engine"), join(target, "fabric-engine"));
    });
  });
  recordArtifacts({ engine: join(directory, "fabric-engine") });
}

/** Cargo's own intermediate results: kept, so that a changed engine is built in a fraction of the time. */
function cargoTargetDirectory(): string {
  return join(cacheDirectory(), "cargo-target");
}

function kubernetesVersion(goMod: string): string {
  const version = /^\s*k8s\.io\/kubernetes (v\S+)/m.exec(readFileSync(goMod, "utf8"))?.[1];
  if (version === undefined) throw new Error(`${goMod} requires no k8s.io/kubernetes`);
  return version;
}

/** What `kubectl version` and the API server's /version say; upstream's build sets the same three. */
function linkerFlags(version: string): string {
  const [major, minor] = version.slice(1).split(".");
  const set = (name: string, value: string | undefined): string =>
    `-X k8s.io/component-base/version.${name}=${value}`;
  return ["-s -w", set("gitVersion", version), set("gitMajor", major), set("gitMinor", minor)].join(" ");
}

function step(what: string, work: () => void): void {
  console.log(`bootstrap: building the ${what}`);
  const startedMs = performance.now();
  work();
  console.log(`bootstrap: built in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
}

function run(command: string, args: string[], cwd: string, env: Record<string, string> = {}): void {
  execFileSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
}

function output(command: string, args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8" }).trim();
}
