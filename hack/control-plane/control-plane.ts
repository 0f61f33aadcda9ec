/**
 * Starts a real Kubernetes API server with etcd, and the controller manager, on this machine's loopback or, for nodes,
 * on a host of a lab, and takes all of it away again.
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
import { type Entrance, openEntrance } from "../lab/door.ts";
import { namespaceCommand } from "../lab/namespaces.ts";
import { createScratchDirectory, sweepScratchDirectories } from "../lab/scratch-directory.ts";
import { renderKubeconfig } from "./kubeconfig.ts";

/** Where the control plane of a cluster with nodes runs. People reach it through a door on this machine's loopback. */
export interface ControlPlaneSite {
  /** Network namespace of its host. */
  readonly namespace: string;
  /** The host's IPv4 address. */
  readonly address: string;
}

/** Somebody whom the API server knows by a token. */
export interface Person {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface ControlPlaneOptions {
  /** Where its own directory is made; default: the system's temporary directory. */
  readonly dir?: string;
  /** Without it no namespace ends, nothing is garbage-collected, and 150 MB are saved. Default true. */
  readonly controllerManager?: boolean;
  /** People besides `admin` (group system:masters) and `alice` (no rights until a test binds some). */
  readonly users?: readonly (string | Person)[];
  /** Absent: this machine's loopback, for programs that are no pods. */
  readonly site?: ControlPlaneSite;
  /** The control-plane binary; default: the one that bootstrap built. */
  readonly binary?: string;
}

export interface ServiceAccountRef {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface ControlPlane extends AsyncDisposable {
  /** As this machine reaches it. */
  readonly url: string;
  /** The CA certificate of the API server and of its clients. */
  readonly caFile: string;
  /** Of `admin`, who may do everything. */
  readonly kubeconfig: string;
  readonly logs: { readonly apiServer: string; readonly controllerManager: string };
  /** Process ids, for measurements. */
  pids(): number[];
  /** The path of a kubeconfig, mode 0600, for a person by name or for a service account that exists. */
  kubeconfigFor(identity: string | ServiceAccountRef): Promise<string>;
  /** The same for a person on a host that reaches the site's address. */
  kubeconfigOnSite(user: string): string;
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
/** Of the API server on its site. */
const SITE_PORT = 6443;

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  sweepScratchDirectories(options.dir);
  const scratch = createScratchDirectory(options.dir);
  const dir = scratch.path;
  const binary = options.binary ?? artifacts().controlPlane;
  const logs = {
    apiServer: join(dir, "api-server.log"),
    controllerManager: join(dir, "controller-manager.log"),
  };
  const { site } = options;
  const command = (words: readonly string[]): string[] =>
    site === undefined ? [binary, ...words] : namespaceCommand(site.namespace, [binary, ...words]);
  const serve = (port: number): Promise<ApiServer> => {
    const place = site === undefined ? [] : ["--address", site.address];
    const words = ["serve", "--dir", dir, "--port", String(port), ...place];
    return startApiServer(command(words), logs.apiServer);
  };
  const tokens = writeTokens(dir, [
    { name: "admin", groups: ["system:masters"] },
    { name: "alice", groups: [] },
    ...(options.users ?? []).map((user) => (typeof user === "string" ? { name: user, groups: [] } : user)),
  ]);
  let apiServer: ApiServer;
  let controllers: ChildProcess | undefined;
  let entrance: Entrance | undefined;

  const stop = async (): Promise<void> => {
    await Promise.all([entrance?.close(), end(controllers), end(apiServer?.process)]);
    scratch.remove();
  };
  try {
    apiServer = await serve(site === undefined ? 0 : SITE_PORT);
    if (site !== undefined) entrance = await openEntrance(site.namespace, SITE_PORT);
  } catch (error) {
    await stop();
    throw error;
  }
  const servedPort = Number(new URL(apiServer.url).port);
  const url = entrance === undefined ? apiServer.url : `https://127.0.0.1:${entrance.port}`;
  const caFile = join(dir, "pki/ca.crt");
  const ca = readFileSync(caFile, "utf8");
  const write = (name: string, user: string, token: string, namespace?: string, server = url): string => {
    const path = join(dir, `${name}.kubeconfig`);
    const text = renderKubeconfig({
      url: server,
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
  const kubeconfigOnSite = (user: string): string => {
    const token = tokens.get(user);
    if (site === undefined || token === undefined) throw new Error(`no user ${user} on a site`);
    return write(`site.${user}`, user, token, undefined, `https://${site.address}:${SITE_PORT}`);
  };
  if (options.controllerManager !== false) {
    const scope = site === undefined ? [] : ["--nodes", "--kubeconfig", kubeconfigOnSite("admin")];
    controllers = launch(command(["controller-manager", "--dir", dir, ...scope]), logs.controllerManager);
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
    caFile,
    kubeconfig,
    logs,
    kubeconfigFor,
    kubeconfigOnSite,
    pids: () => [apiServer.process.pid, controllers?.pid].filter((pid) => pid !== undefined),
    pause: () => end(apiServer.process),
    resume: async () => {
      apiServer = await serve(servedPort);
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
async function startApiServer(command: readonly string[], log: string): Promise<ApiServer> {
  const child = launch(command, log);
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

function launch([file, ...args]: readonly string[], log: string): ChildProcess {
  const stderr = openSync(log, "a");
  try {
    return spawn(file!, [...args, "--parent", String(process.pid)], { stdio: ["ignore", "pipe", stderr] });
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
function writeTokens(dir: string, people: readonly Person[]): Map<string, string> {
  const tokens = new Map(people.map(({ name }) => [name, randomBytes(24).toString("base64url")]));
  const lines = people.map(({ name, groups }) => `${tokens.get(name)},${name},${name},"${groups.join(",")}"`);
  writeFileSync(join(dir, "tokens.csv"), `${lines.join("\n")}\n`, { mode: 0o600 });
  return tokens;
}
