/**
 * Builds the binaries of this tree that npm does not bring: the control plane (Go) and the engine (Rust), and for the
 * cluster lab the worker's and the name server's (Go), the container runtime (Debian) and the images. What is built
 * already is found by its content and not built again. Called by bootstrap.sh, which holds the lock.
 *
 *   node hack/bootstrap/main.ts [control-plane] [engine] [worker] [cluster-dns] [container-runtime] [images] [helm] [kustomize]
 *
 * By default the first two. helm and kustomize come from the Go module proxy, at one version each, and only for the tests that use them
 * (lazy-tools.ts).
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { artifacts, cacheDirectory, recordArtifacts, repositoryRoot } from "./artifacts.ts";
import { buildOnce, contentHash } from "./build-cache.ts";
import { compileRelease, ENGINE_PROFILE, ENGINE_SOURCE } from "./engine-build.ts";
import { containerRuntimeKey, MissingPrerequisite, unpackContainerRuntime } from "./container-runtime.ts";
import { makeImageArchive } from "../images/image.ts";
import { IMAGES } from "../images/root-file-system.ts";
import { patchCrates } from "./patched-crates.ts";

const targets: Record<string, () => void> = {
  "control-plane": buildControlPlane,
  engine: buildEngine,
  worker: buildWorker,
  "cluster-dns": buildClusterDns,
  "container-runtime": fetchContainerRuntime,
  images: makeImages,
  helm: () => buildGoTool("helm", "helm.sh/helm/v3/cmd/helm", "v3.21.4"),
  kustomize: () => buildGoTool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1"),
};
const DEFAULT_TARGETS = ["control-plane", "engine"];

if (Number.parseInt(process.versions.node) < 24)
  throw new Error(`needs Node 24 and runs under ${process.version}: use \`npm run bootstrap\``);
for (const name of process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_TARGETS) {
  const target = targets[name];
  if (target === undefined)
    throw new Error(`no such target: ${name}; there are ${Object.keys(targets).join(", ")}`);
  try {
    target();
  } catch (error) {
    if (!(error instanceof MissingPrerequisite)) throw error;
    console.error(`bootstrap: ${error.message}`);
    process.exit(1);
  }
}

function buildControlPlane(): void {
  const what = "control plane: Kubernetes with etcd (5 to 8 minutes the first time, seconds after a change)";
  const directory = goBuild("control-plane", ".", kubernetesModule(), what, (target) => {
    symlinkSync("control-plane", join(target, "kubectl"));
  });
  recordArtifacts({ controlPlane: join(directory, "control-plane"), kubectl: join(directory, "kubectl") });
}

function buildWorker(): void {
  const what = "worker: kubelet, scheduler and kube-proxy (1 to 2 minutes the first time)";
  const directory = goBuild("worker", "worker", kubernetesModule(), what);
  recordArtifacts({ worker: join(directory, "worker") });
}

function buildClusterDns(): void {
  const what = "cluster's name server: CoreDNS (1 to 2 minutes the first time)";
  const directory = goBuild("cluster-dns", ".", { folder: "hack/cluster-dns", linkerFlags: "-s -w" }, what);
  recordArtifacts({ clusterDns: join(directory, "cluster-dns") });
}

interface GoModule {
  readonly folder: string;
  readonly linkerFlags: string;
}

/** A package of a module: the directory with the binary, both of that name. */
function goBuild(
  name: string,
  folder: string,
  module: GoModule,
  what: string,
  finish: (target: string) => void = () => {},
): string {
  const source = join(repositoryRoot, module.folder);
  const files = globSync([join(folder, "*.go"), "go.mod", "go.sum"], { cwd: source }).map((file) =>
    join(source, file),
  );
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags", module.linkerFlags];
  const key = contentHash(source, files, [output("go", ["version"]), ...flags]);
  return buildOnce(join(cacheDirectory(), name), key, (target) => {
    step(what, () => {
      run("go", ["build", ...flags, "-o", join(target, name), `./${folder}`], source);
      finish(target);
    });
  }).directory;
}

/** The machine's own where it is installed; else Debian's packages, unpacked in the cache: the machine stays as it is. */
function fetchContainerRuntime(): void {
  const { directory } = buildOnce(
    join(cacheDirectory(), "container-runtime"),
    containerRuntimeKey(),
    unpackContainerRuntime,
  );
  recordArtifacts({ containerRuntime: directory });
}

function buildEngine(): void {
  patchCrates();
  const patterns = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "rust-toolchain.toml",
    "src/**/*.rs",
    "patches/*/*",
    ENGINE_PROFILE,
  ];
  const files = globSync(patterns, { cwd: ENGINE_SOURCE }).map((file) => join(ENGINE_SOURCE, file));
  const key = contentHash(ENGINE_SOURCE, files, [output("rustc", ["--version", "--verbose"])]);
  const { directory } = buildOnce(join(cacheDirectory(), "engine"), key, (target) => {
    step("engine: fabric-engine (1 to 3 minutes the first time, a minute after a change)", () => {
      copyFileSync(compileRelease(cargoTargetDirectory()), join(target, "fabric-engine"));
    });
  });
  recordArtifacts({ engine: join(directory, "fabric-engine") });
}

/** Of the engine that was built last. */
function makeImages(): void {
  const sources = [
    "{crds,protocol,telemetry,operator,agent,cli}/src/**/*.ts",
    "engine/client/**/*.ts",
    "migrations/*.ts",
    "hack/images/*.ts",
    "package.json",
    "package-lock.json",
  ];
  const files = globSync(sources, { cwd: repositoryRoot }).map((file) => join(repositoryRoot, file));
  const key = contentHash(repositoryRoot, files, [artifacts().engine, process.version]);
  const { directory } = buildOnce(join(cacheDirectory(), "images"), key, (target) => {
    step("images of operator and agent", () => {
      for (const image of IMAGES) makeImageArchive(image, join(target, `${image}.tar`));
    });
  });
  recordArtifacts({ images: directory });
}

/** A released tool as it is: go checks what it downloads against the checksum database. */
function buildGoTool(name: "helm" | "kustomize", module: string, version: string): void {
  const flags = name === "helm" ? ["-ldflags", helmLinkerFlags(version)] : [];
  const key = contentHash(repositoryRoot, [], [output("go", ["version"]), module, version, ...flags]);
  const { directory } = buildOnce(join(cacheDirectory(), name), key, (target) => {
    step(`${name} ${version} (half a minute to two minutes)`, () =>
      run("go", ["install", "-trimpath", ...flags, `${module}@${version}`], target, { GOBIN: target }),
    );
  });
  recordArtifacts({ [name]: join(directory, name) });
}

/** What `helm version` says, and the Kubernetes that `helm template` and `helm lint` suppose: upstream's build sets the same. */
function helmLinkerFlags(version: string): string {
  const [major, minor] = ["1", "36"]; // of the client libraries that this helm is made with
  const kubernetes = ["pkg/chartutil", "pkg/lint/rules"].flatMap((folder) => [
    `-X helm.sh/helm/v3/${folder}.k8sVersionMajor=${major}`,
    `-X helm.sh/helm/v3/${folder}.k8sVersionMinor=${minor}`,
  ]);
  return ["-s -w", `-X helm.sh/helm/v3/internal/version.version=${version}`, ...kubernetes].join(" ");
}

/** Cargo's own intermediate results: kept, so that a changed engine is built in a fraction of the time. */
function cargoTargetDirectory(): string {
  return join(cacheDirectory(), "cargo-target");
}

function kubernetesModule(): GoModule {
  const folder = "hack/control-plane";
  const version = kubernetesVersion(join(repositoryRoot, folder, "go.mod"));
  return { folder, linkerFlags: linkerFlags(version) };
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
