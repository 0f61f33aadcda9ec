/**
 * A stage for the operator's end-to-end tests: a real API server, a namespace with the fabric's kinds and the operator's own rights,
 * and operators as real processes of an ordinary user, each with the embedded PostgreSQL and a real engine.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { createSocket } from "node:dgram";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { artifacts } from "../../../hack/bootstrap/artifacts.ts";
import { startControlPlane, type ControlPlane } from "../../../hack/control-plane/control-plane.ts";
import { codePath, confinedCommand } from "../../../hack/lab/ordinary-user.ts";
import { createScratchDirectory } from "../../../hack/lab/scratch-directory.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../../..");
/** `nobody`: initdb refuses root, and the operator needs no rights. */
const ORDINARY = { uid: 65534, gid: 65534 } as const;
const SUPERUSER = { uid: 0, gid: 0 } as const;
export const NAMESPACE = "fabric";
export const TRUST_DOMAIN = "stage.example";

export interface OperatorOptions {
  readonly holder: string;
  /** Operators with the same ledger share this name. */
  readonly ledger: string;
  /** Of its engine; two operators that rule one after the other may share one, two that both live may not. */
  readonly engine?: string;
  /** Where it serves joins. */
  readonly enrolmentPort?: number;
  /** Of its pod, if it had one: the Service fabric-operator is to lead there while it rules. */
  readonly address?: string;
  /** In place of the embedded database. */
  readonly databaseUrl?: string;
}

export interface RunningOperator {
  readonly pid: number;
  /** Of its probes and metrics, on loopback. */
  readonly telemetryPort: number;
  readonly logFile: string;
  log(): string;
  /** SIGTERM, and its exit status. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

export interface Stage {
  readonly dir: string;
  readonly controlPlane: ControlPlane;
  readonly ports: { readonly enrolment: number; readonly control: number };
  readonly kubectl: (...args: string[]) => Promise<string>;
  kubectlAs(user: string, ...args: string[]): Promise<string>;
  apply(object: object): Promise<void>;
  applyAs(user: string, object: object, ...args: string[]): Promise<string>;
  /** kubectl with the object on its standard input. */
  inputAs(user: string, object: object, ...args: string[]): Promise<string>;
  get<T>(kind: string, name: string): Promise<T | undefined>;
  startOperator(options: OperatorOptions): Promise<RunningOperator>;
  /** An engine of root whose socket the ordinary user may use. */
  startEngine(name: string, config: { readonly port: number; readonly keyFile: string }): Promise<Engine>;
  end(): Promise<void>;
}

export interface Engine {
  readonly socket: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

export async function buildStage(users: readonly string[] = []): Promise<Stage> {
  const controlPlane = await startControlPlane({ users: [...users] });
  const scratch = createScratchDirectory();
  const ports = { enrolment: await freeTcpPort(), control: await freeUdpPort() };
  const processes = new Set<ChildProcess>();

  const kubectlWith = async (kubeconfig: string, args: readonly string[]): Promise<string> => {
    const { stdout } = await run(artifacts().kubectl, ["--kubeconfig", kubeconfig, "-n", NAMESPACE, ...args]);
    return stdout;
  };
  const kubectl = (...args: string[]): Promise<string> => kubectlWith(controlPlane.kubeconfig, args);

  const kubeconfigOf = (user: string): Promise<string> | string =>
    user === "admin" ? controlPlane.kubeconfig : controlPlane.kubeconfigFor(user);

  const inputAs: Stage["inputAs"] = async (user, object, ...args) => {
    const kubeconfig = await kubeconfigOf(user);
    const call = run(artifacts().kubectl, ["--kubeconfig", kubeconfig, "-n", NAMESPACE, ...args]);
    call.child.stdin?.end(JSON.stringify(object));
    return (await call).stdout;
  };
  const applyAs: Stage["applyAs"] = (user, object, ...args) =>
    inputAs(user, object, "apply", "-f", "-", ...args);

  const codeDirectory = folder(scratch.path, "code", SUPERUSER);
  const operatorRights = { user: ORDINARY, capabilities: "-all", codeDirectory };
  const launch = (
    name: string,
    command: string,
    args: readonly string[],
    user: { readonly uid: number; readonly gid: number },
  ): ChildProcess => {
    const file = openSync(join(scratch.path, `${name}.log`), "a");
    // By the kernel, it ends with this process, also when that is killed.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
      stdio: ["ignore", file, file],
      cwd: "/",
      env: { PATH: process.env["PATH"] },
      ...user,
    });
    closeSync(file);
    processes.add(child);
    child.once("exit", () => processes.delete(child));
    return child;
  };

  const startEngine: Stage["startEngine"] = async (name, { port, keyFile }) => {
    const dir = folder(scratch.path, `engine-${name}`, { uid: 0, gid: ORDINARY.gid }, 0o750);
    const socket = join(dir, "engine.sock");
    const config = join(dir, "config.json");
    writeFileSync(
      config,
      JSON.stringify({
        socket,
        socketMode: 0o666,
        allowedUids: [ORDINARY.uid, 0],
        keyFile,
        stateDir: dir,
        listen: [`127.0.0.1:${port}`],
        tunnel: null,
      }),
    );
    // Without its capabilities root is an ordinary reader: the key is open to the group.
    const child = launch(`engine-${name}`, artifacts().engine, ["--config", config], {
      uid: 0,
      gid: ORDINARY.gid,
    });
    return { socket, process: child, stop: () => endProcess(child, "SIGTERM").then(() => undefined) };
  };

  const startOperator: Stage["startOperator"] = async (options) => {
    const { holder, ledger, engine = "operator", enrolmentPort = ports.enrolment } = options;
    const { address, databaseUrl } = options;
    const home = folder(scratch.path, `home-${holder}`, ORDINARY);
    const dataDir = folder(scratch.path, `ledger-${ledger}`, ORDINARY);
    const kubeconfig = join(home, "kubeconfig");
    copyFileSync(
      await controlPlane.kubeconfigFor({ namespace: NAMESPACE, serviceAccount: "fabric-operator" }),
      kubeconfig,
    );
    chownSync(kubeconfig, ORDINARY.uid, ORDINARY.gid);
    const config = join(home, "config.json");
    const telemetryPort = await freeTcpPort();
    writeFileSync(
      config,
      JSON.stringify({
        namespace: NAMESPACE,
        kubeconfig,
        dataDir,
        ...(databaseUrl === undefined ? {} : { database: { url: databaseUrl } }),
        enrolment: { listen: `127.0.0.1:${enrolmentPort}` },
        engineSocket: join(scratch.path, `engine-${engine}`, "engine.sock"),
        controlKeyFile: join(scratch.path, "control", "control.key"),
        holder,
        ...(address === undefined ? {} : { service: { name: "fabric-operator", controlPort: 7443 } }),
        lease: { durationSeconds: 3, renewDeadlineSeconds: 2, retrySeconds: 0.3 },
        logLevel: "debug",
        telemetry: { listen: `127.0.0.1:${telemetryPort}` },
      }),
    );
    const logFile = join(scratch.path, `operator-${holder}.log`);
    const child = launch(
      `operator-${holder}`,
      "unshare",
      [
        "--mount",
        ...confinedCommand(operatorRights, [
          codePath(operatorRights.codeDirectory, process.execPath),
          codePath(operatorRights.codeDirectory, join(root, "operator/src/main.ts")),
          "--config",
          config,
          ...(address === undefined ? [] : ["--address", address, "--node", `node-of-${holder}`]),
        ]),
      ],
      SUPERUSER,
    );
    return {
      pid: child.pid ?? -1,
      telemetryPort,
      logFile,
      log: () => readFileSync(logFile, "utf8"),
      stop: () => endProcess(child, "SIGTERM"),
      kill: async () => void (await endProcess(child, "SIGKILL")),
    };
  };

  const stage: Stage = {
    dir: scratch.path,
    controlPlane,
    ports,
    kubectl,
    kubectlAs: async (user, ...args) => kubectlWith(await kubeconfigOf(user), args),
    apply: async (object) => void (await applyAs("admin", object)),
    applyAs,
    inputAs,
    async get<T>(kind: string, name: string) {
      const text = await kubectl("get", kind, name, "-o", "json", "--ignore-not-found");
      return text === "" ? undefined : (JSON.parse(text) as T);
    },
    startOperator,
    startEngine,
    async end() {
      await Promise.all([...processes].map((child) => endProcess(child, "SIGTERM")));
      await controlPlane.stop();
      scratch.remove();
    },
  };
  folder(scratch.path, "control", ORDINARY);
  await prepareNamespace(stage);
  return stage;
}

async function prepareNamespace({ kubectl }: Stage): Promise<void> {
  await kubectl("create", "namespace", NAMESPACE);
  await kubectl(
    "apply",
    "-f",
    join(root, "crds/manifests"),
    "-f",
    join(root, "operator/manifests/rbac.yaml"),
    "-f",
    join(root, "operator/manifests/attestation.yaml"),
  );
  await kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s");
}

/** One Cluster for the stage's operators. */
export function clusterOf({ ports }: Stage, spec: object = {}): object {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: "stage" },
    spec: {
      trustDomain: TRUST_DOMAIN,
      reachability: "Mesh",
      addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
      endpoints: {
        enrolment: [`https://127.0.0.1:${ports.enrolment}`],
        control: [`127.0.0.1:${ports.control}`],
      },
      ...spec,
    },
  };
}

function folder(parent: string, name: string, owner: { uid: number; gid: number }, mode = 0o755): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true, mode });
  chownSync(path, owner.uid, owner.gid);
  return path;
}

async function endProcess(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  return child.exitCode;
}

/** Asks until the answer is there; the failure says what was waited for. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(100);
  }
}

export async function freeTcpPort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

export async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
  const { port } = socket.address();
  await new Promise<void>((done) => socket.close(() => done()));
  return port;
}
