/**
 * What bootstrap builds, where it keeps it, and how the rest of the tree finds it.
 *
 * The binaries live outside the work tree, under names made of everything that went into them, so that several work
 * trees share them; the record in node_modules says which ones belong to this tree.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export interface Artifacts {
  /** The `fabric-engine` binary. */
  readonly engine: string;
  /** API server, controller manager and kubectl in one binary; see hack/control-plane. */
  readonly controlPlane: string;
  /** `kubectl` of the same version as the API server. */
  readonly kubectl: string;
  /** Kubelet, scheduler and kube-proxy in one binary; built for the cluster lab. */
  readonly worker: string;
  /** CoreDNS; for the cluster lab. */
  readonly clusterDns: string;
  /** A folder whose `bin` has containerd, its shim, ctr and runc, and whose `cni` has the network plugins; for the cluster lab. */
  readonly containerRuntime: string;
  /** A folder with `operator.tar` and `agent.tar`, docker-archives; for the cluster lab. */
  readonly images: string;
  /** Released tools of others, for the tests that use them: see lazy-tools.ts. */
  readonly helm: string;
  readonly kustomize: string;
}

export type ArtifactName = keyof Artifacts;

export const repositoryRoot = resolve(import.meta.dirname, "../..");

/** Of package.json. */
export function productVersion(): string {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as {
    version: string;
  };
  return version;
}

/** What bootstrap builds only when it is told to, as words for its command line. */
const onDemand: Partial<Record<ArtifactName, string>> = {
  worker: " -- worker",
  clusterDns: " -- cluster-dns",
  containerRuntime: " -- container-runtime",
  images: " -- engine images",
  helm: " -- helm",
  kustomize: " -- kustomize",
};

const recordPath = join(repositoryRoot, "node_modules/.saf-artifacts.json");

export function cacheDirectory(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "saf");
}

/** Paths of this tree's binaries. Reading one that was not built throws, and says what to do. */
export function artifacts(): Artifacts {
  return {
    get engine() {
      return locate("engine");
    },
    get controlPlane() {
      return locate("controlPlane");
    },
    get kubectl() {
      return locate("kubectl");
    },
    get worker() {
      return locate("worker");
    },
    get clusterDns() {
      return locate("clusterDns");
    },
    get containerRuntime() {
      return locate("containerRuntime");
    },
    get images() {
      return locate("images");
    },
    get helm() {
      return locate("helm");
    },
    get kustomize() {
      return locate("kustomize");
    },
  };
}

/** Adds to this tree's record, in one step. */
export function recordArtifacts(built: Partial<Artifacts>): void {
  mkdirSync(join(repositoryRoot, "node_modules"), { recursive: true });
  const temporary = `${recordPath}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify({ ...readRecord(), ...built }, null, 2));
  renameSync(temporary, recordPath);
}

function locate(name: ArtifactName): string {
  const path = readRecord()[name];
  if (path === undefined || !existsSync(path))
    throw new Error(`${name} is not built: run \`npm run bootstrap${onDemand[name] ?? ""}\``);
  return path;
}

function readRecord(): Partial<Artifacts> {
  if (!existsSync(recordPath)) return {};
  return JSON.parse(readFileSync(recordPath, "utf8")) as Partial<Artifacts>;
}
