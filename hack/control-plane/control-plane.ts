/**
 * Starts a real Kubernetes API server with etcd, and the controller manager, on this machine's loopback, and takes
 * all of it away again.
 *
 *   await using controlPlane = await startControlPlane();
 *   $ kubectl --kubeconfig <controlPlane.kubeconfig> get namespaces
 *
 * Both processes carry the launcher's process id and ask the kernel to be killed with it, so not even `kill -9` of
 * the launcher leaves one. The directory it then leaves is removed by the next start.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { artifacts } from "../bootstrap/artifacts.ts";
import { createScratchDirectory, sweepScratchDirectories } from "../lab/scratch-directory.ts";
import { renderKubeconfig } from "./kubeconfig.ts";

export interface ControlPlaneOptions {
  /** Where its own directory is made; default: the system's temporary directory. */
  readonly dir?: string;
  /** Without it no namespace ends, nothing is garbage-collected, and 150 MB are saved. Default true. */
  readonly controllerManager?: boolean;
  /** People besides `admin` (group system:masters) and `alice` (no rights until a test binds some). */
  readonly users?: readonly string[];
  /** The control-plane binary; default: the one that bootstrap built. */
  readonly binary?: string;
}

export interface ServiceAccountRef {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface ControlPlane extends AsyncDisposable {
  readonly url: string;
  /** Of `admin`, who may do everything. */
  readonly kubeconfig: string;
  readonly logs: { readonly apiServer: string; readonly controllerManager: string };
  /** Process ids, for measurements. */
  pids(): number[];
  /** The path of a kubeconfig, mode 0600, for a person by name or for a service account that exists. */
  kubeconfigFor(identity: string | ServiceAccountRef): Promise<string>;
  /** Ends the API server as a crash would; connections are refused until resume(), which brings back the same data. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Stops the API server in mid-air: connections stay open and nothing answers, until thaw(). */
  freeze(): void;
  thaw(): void;
  /** Ends both processes and removes the directory. May be called twice. */
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** A service-account token of a test outlives the test. */
const TOKEN_LIFETIME = "24h";

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  sweepScratchDirectories(options.dir);
  const scratch = createScratchDirectory(options.dir);
  const dir = scratch.path;
  const binary = options.binary ?? artifacts().controlPlane;
  const logs = {
    apiServer: join(dir, "api-server.log"),
    controllerManager: join(dir, "controller-manager.log"),
  };
  const tokens = writeTokens(dir, ["admin", "alice", ...(options.users ?? [])]);
  let apiServer: ApiServer;
  let controllers: ChildProcess | undefined;

  const stop = async (): Promise<void> => {
    await Promise.all([end(controllers), end(apiServer?.process)]);
    scratch.remove();
  };
  try {
    apiServer = await startApiServer(binary, dir, logs.apiServer, 0);
  } catch (error) {
    scratch.remove();
    throw error;
  }
  const url = apiServer.url;
  const ca = readFileSync(join(dir, "pki/ca.crt"), "utf8");
  const write = (name: string, user: string, token: string, namespace?: string): string => {
    const path = join(dir, `${name}.kubeconfig`);
    const text = renderKubeconfig({
      url,
      ca,
      user,
      token,
      ...(namespace === undefined ? {} : { namespace }),
    });
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const people = new Map([...tokens].map(([user, token]) => [user, write(user, user, token)]));
  const kubeconfig = people.get("admin")!;
  if (options.controllerManager !== false) {
    controllers = launch(binary, ["controller-manager", "--dir", dir], logs.controllerManager);
  }

  const kubeconfigFor = async (identity: string | ServiceAccountRef): Promise<string> => {
    if (typeof identity === "string") {
      const path = people.get(identity);
      if (path === undefined) throw new Error(`no user ${identity} in this control plane`);
      return path;
    }
    const { namespace, serviceAccount } = identity;
    const request = ["create", "token", serviceAccount, "-n", namespace, `--duration=${TOKEN_LIFETIME}`];
    const { stdout } = await run(binary, ["kubectl", "--kubeconfig", kubeconfig, ...request]);
    return write(`${namespace}.${serviceAccount}`, serviceAccount, stdout.trim(), namespace);
  };

  return {
    url,
    kubeconfig,
    logs,
    kubeconfigFor,
    pids: () => [apiServer.process.pid, controllers?.pid].filter((pid) => pid !== undefined),
    pause: () => end(apiServer.process),
    resume: async () => {
      apiServer = await startApiServer(binary, dir, logs.apiServer, Number(new URL(url).port));
    },
    freeze: () => void apiServer.process.kill("SIGSTOP"),
    thaw: () => void apiServer.process.kill("SIGCONT"),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface ApiServer {
  readonly process: ChildProcess;
  readonly url: string;
}

/** Resolves when the API server says that it is ready; rejects with the end of its log when it ends instead. */
async function startApiServer(binary: string, dir: string, log: string, port: number): Promise<ApiServer> {
  const child = launch(binary, ["serve", "--dir", dir, "--port", String(port)], log);
  const ended = once(child, "exit").then(([code, signal]) => {
    const lastLines = readFileSync(log, "utf8").trimEnd().split("\n").slice(-5).join("\n");
    throw new Error(`the API server ended (${code ?? signal}) before it was ready:\n${lastLines}`);
  });
  const ready = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.startsWith("ready ")) resolve(line.slice("ready ".length));
    });
  });
  ended.catch(() => {}); // after it is ready, its end is pause() or stop()
  return { process: child, url: await Promise.race([ready, ended]) };
}

function launch(binary: string, args: string[], log: string): ChildProcess {
  const stderr = openSync(log, "a");
  try {
    return spawn(binary, [...args, "--parent", String(process.pid)], { stdio: ["ignore", "pipe", stderr] });
  } finally {
    closeSync(stderr);
  }
}

/** The data is thrown away, and etcd has handed every write to the kernel: there is nothing to end gently. */
async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** Writes the API server's token file, which it reads once at its start; returns the token of each person. */
function writeTokens(dir: string, people: readonly string[]): Map<string, string> {
  const tokens = new Map(people.map((user) => [user, randomBytes(24).toString("base64url")]));
  const lines = [...tokens].map(
    ([user, token]) => `${token},${user},${user}${user === "admin" ? ",system:masters" : ""}`,
  );
  writeFileSync(join(dir, "tokens.csv"), `${lines.join("\n")}\n`, { mode: 0o600 });
  return tokens;
}
