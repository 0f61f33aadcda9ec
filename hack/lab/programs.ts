/**
 * Starts the fabric's programs on a lab's hosts as a root installer would on real ones: configuration owned by root,
 * the engine with two capabilities and no more, agent and operator as ordinary users with none.
 *
 *   <lab>/hosts/<host>/engine.json            root            what the engine may ever do
 *                     /engine/                root            the engine's own state
 *                     /engine-run/engine.sock root:<user>     only the user's group may connect
 *                     /<program>.json         root            agent.json or operator.json
 *                     /<program>/             <user>          its state; the key in it is readable by its group,
 *                                                             which the engine shares
 *                     /<program>-run/         <user>          its own socket
 *   <lab>/logs/<host>.<program>.log
 */
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts } from "../bootstrap/artifacts.ts";
import { bundled, type Program } from "../images/bundle.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { type User, codePath, confinedCommand } from "./ordinary-user.ts";
import type { SupervisedProcess } from "./supervisor.ts";

/** The account of the i-th agent of a lab; its group has the same number. */
export function agentUser(index: number): User {
  return { uid: 64101 + index, gid: 64101 + index };
}

/** Debian's nobody and nogroup. */
export const operatorUser: User = { uid: 65534, gid: 65534 };

export const FABRIC_PORT = 7443;
export const ENROLMENT_PORT = 8443;

export type Settings = Readonly<Record<string, unknown>>;

/** Where the files of a host's programs are; see above. */
export function programPaths(host: Host, program: "agent" | "operator") {
  const state = join(host.directory, program);
  return {
    engineSocket: join(host.directory, "engine-run/engine.sock"),
    stateDir: state,
    apiSocket: join(host.directory, `${program}-run/${program}.sock`),
    keyFile: program === "agent" ? join(state, "identity/node.key") : join(state, "control.key"),
    tokenFile: join(state, "join-token"),
    kubeconfig: join(state, "kubeconfig"),
  } as const;
}

export interface EngineOptions {
  /** The program that may command this engine, and whose key it reads. */
  readonly serves: "agent" | "operator";
  readonly user: User;
  /** Replaces parts of the configuration. */
  readonly settings?: Settings;
}

/** What an agent may ask of its engine; an operator's engine gets no TUN device at all. */
const tunnelLimits = { interface: "fabric0", prefixes: ["100.64.0.0/10", "fd00::/8"], maxMtu: 9000 };

export function addEngine(lab: Lab, hostName: string, options: EngineOptions): SupervisedProcess {
  const host = lab.host(hostName);
  const { user, serves } = options;
  const paths = programPaths(host, serves);
  const root = { uid: 0, gid: 0 };
  makeDirectory(join(host.directory, "engine"), root, 0o700);
  makeDirectory(join(host.directory, "engine-run"), { uid: 0, gid: user.gid }, 0o755);
  const config = writeConfig(host, "engine", {
    socket: paths.engineSocket,
    allowedUids: [user.uid],
    keyFile: paths.keyFile,
    stateDir: join(host.directory, "engine"),
    listen: [`0.0.0.0:${FABRIC_PORT}`],
    tunnel: serves === "agent" ? tunnelLimits : null,
    ...options.settings,
  });
  const capabilities = "-all,+net_admin,+sys_nice";
  return addProgram(lab, host, "engine", { uid: 0, gid: user.gid }, capabilities, [
    artifacts().engine,
    "--config",
    config,
  ]);
}

export interface AgentOptions {
  readonly user: User;
  /** Join by itself at its first start. */
  readonly join?: { readonly server: string; readonly token: string };
  readonly settings?: Settings;
}

export function addAgent(lab: Lab, hostName: string, options: AgentOptions): SupervisedProcess {
  const host = lab.host(hostName);
  const { user } = options;
  const { engineSocket, stateDir, apiSocket, tokenFile } = programPaths(host, "agent");
  makeProgramDirectories(host, "agent", user);
  if (options.join !== undefined) writeOwned(tokenFile, options.join.token, user);
  const config = writeConfig(host, "agent", {
    nodeName: host.name,
    stateDir,
    engineSocket,
    apiSocket,
    listenPort: FABRIC_PORT,
    ...(options.join === undefined ? {} : { join: { server: options.join.server, tokenFile } }),
    ...options.settings,
  });
  return addProgram(lab, host, "agent", user, "-all", nodeCommand(lab, "agent", config));
}

export interface OperatorOptions {
  readonly namespace: string;
  /** A kubeconfig file of this machine; the operator gets its own copy. Needs a door to the API server's port. */
  readonly kubeconfig: string;
  readonly settings?: Settings;
}

export function addOperator(lab: Lab, hostName: string, options: OperatorOptions): SupervisedProcess {
  const host = lab.host(hostName);
  const { engineSocket, stateDir, keyFile, kubeconfig } = programPaths(host, "operator");
  makeProgramDirectories(host, "operator", operatorUser);
  writeOwned(kubeconfig, readFileSync(options.kubeconfig, "utf8"), operatorUser);
  const config = writeConfig(host, "operator", {
    namespace: options.namespace,
    kubeconfig,
    dataDir: join(stateDir, "ledger"),
    enrolment: { listen: `${host.address}:${ENROLMENT_PORT}` },
    engineSocket,
    controlKeyFile: keyFile,
    ...options.settings,
  });
  return addProgram(lab, host, "operator", operatorUser, "-all", nodeCommand(lab, "operator", config));
}

function addProgram(
  lab: Lab,
  host: Host,
  program: string,
  user: User,
  capabilities: string,
  command: readonly string[],
): SupervisedProcess {
  const confined = confinedCommand({ user, capabilities, codeDirectory: codeDirectory(lab) }, command);
  return lab.supervisor.add({
    name: `${host.name}/${program}`,
    command: ["ip", "netns", "exec", host.namespace, ...confined],
    logFile: join(lab.directory, "logs", `${host.name}.${program}.log`),
  });
}

function codeDirectory(lab: Lab): string {
  return join(lab.directory, "code");
}

function nodeCommand(lab: Lab, program: Program, config: string): string[] {
  const code = codeDirectory(lab);
  return [codePath(code, process.execPath), codePath(code, bundled(program)), "--config", config];
}

function makeProgramDirectories(host: Host, program: "agent" | "operator", user: User): void {
  makeDirectory(join(host.directory, program), user, 0o750);
  makeDirectory(join(host.directory, `${program}-run`), user, 0o755);
}

function makeDirectory(path: string, owner: User, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
  chownSync(path, owner.uid, owner.gid);
}

function writeConfig(host: Host, program: string, config: Settings): string {
  const path = join(host.directory, `${program}.json`);
  writeFileSync(path, JSON.stringify(config, null, 2), { mode: 0o644 });
  return path;
}

function writeOwned(path: string, text: string, owner: User): void {
  writeFileSync(path, text, { mode: 0o600 });
  chownSync(path, owner.uid, owner.gid);
}
