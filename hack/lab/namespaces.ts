/**
 * Network namespaces by the `ip` command. Nothing is ever added to the namespace that this process is in: veth pairs
 * are born with each end in its own namespace.
 */
import { execFile } from "node:child_process";
import { readlinkSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { LabError } from "./errors.ts";

const COMMAND_TIMEOUT_MS = 20_000;
/** Output of a command in a lab is read by a test or a person: a megabyte is already too much. */
const MAX_OUTPUT_BYTES = 4 << 20;
/** A killed process is gone within milliseconds; one in an uninterruptible call may take longer. */
const END_TIMEOUT_MS = 5_000;
const END_INTERVAL_MS = 5;

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command to its end. Rejects with COMMAND_FAILED, which quotes what it said, unless it ends with 0. */
export function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<CommandOutput> {
  const [file, ...args] = command;
  const { promise, resolve, reject } = Promise.withResolvers<CommandOutput>();
  const settings = {
    timeout: options.timeoutMs ?? COMMAND_TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    killSignal: "SIGKILL" as const,
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
  };
  const child = execFile(file!, args, settings, (error, stdout, stderr) => {
    if (error === null) return resolve({ stdout, stderr });
    const said = `${stdout}${stderr}`.trim() || error.message;
    reject(new LabError("COMMAND_FAILED", `${command.join(" ")}: ${said}`, { cause: error }));
  });
  child.stdin?.on("error", () => {}); // it ended without reading; its code says why
  child.stdin?.end(options.input ?? "");
  return promise;
}

export async function listNamespaces(): Promise<string[]> {
  const { stdout } = await runCommand(["ip", "netns", "list"]);
  return stdout.split("\n").flatMap((line) => line.split(" ", 1)[0] || []);
}

export async function addNamespace(namespace: string): Promise<void> {
  await runCommand(["ip", "netns", "add", namespace]);
  await ipIn(namespace, "link", "set", "lo", "up");
}

/** Ends every process in the namespace and removes it; its interfaces go with it. */
export async function removeNamespace(namespace: string): Promise<void> {
  await endProcessesIn(namespace);
  await runCommand(["ip", "netns", "delete", namespace]);
}

export async function endProcessesIn(namespace: string): Promise<void> {
  const deadlineMs = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    const pids = await processesIn(namespace);
    if (pids.length === 0) return;
    if (performance.now() > deadlineMs) {
      throw new LabError("COMMAND_FAILED", `processes ${pids.join(", ")} in ${namespace} do not end`);
    }
    pids.forEach(killIfThere);
    await setTimeout(END_INTERVAL_MS);
  }
}

async function processesIn(namespace: string): Promise<number[]> {
  const { stdout } = await runCommand(["ip", "netns", "pids", namespace]);
  return stdout.split("\n").filter(Boolean).map(Number).filter(hasNamespace);
}

/** A zombie still counts for `ip`, though it has left its namespaces. */
function hasNamespace(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== "";
  } catch {
    return false;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export async function addBridge(namespace: string, gateways: readonly string[]): Promise<void> {
  await ipIn(namespace, "link", "add", "bridge", "type", "bridge");
  for (const gateway of gateways) await ipIn(namespace, "address", "add", gateway, "dev", "bridge");
  await ipIn(namespace, "link", "set", "bridge", "up");
  if (gateways.length > 0) await enableForwarding(namespace);
}

export interface Cable {
  readonly namespace: string;
  readonly interface: string;
  readonly address: string;
  readonly bridgeNamespace: string;
  /** The interface's name at the bridge. */
  readonly port: string;
}

/** A cable from a bridge to a new interface in `namespace`, which gets the address. */
export async function addCable(cable: Cable): Promise<void> {
  const { namespace, bridgeNamespace, port } = cable;
  const name = cable.interface;
  await ipIn(bridgeNamespace, "link", "add", port, "type", "veth", "peer", "name", name, "netns", namespace);
  await ipIn(bridgeNamespace, "link", "set", port, "master", "bridge", "up");
  await ipIn(namespace, "address", "add", cable.address, "dev", name);
  await ipIn(namespace, "link", "set", name, "up");
}

export async function setDefaultRoute(namespace: string, gateway: string): Promise<void> {
  await ipIn(namespace, "route", "add", "default", "via", gateway);
}

/** Redirects would tell hosts of two subnets on one Ethernet to talk past the provider; the internet does not. */
export async function enableForwarding(namespace: string): Promise<void> {
  const script =
    "cd /proc/sys/net/ipv4; echo 1 >ip_forward; for i in conf/*/send_redirects; do echo 0 >$i; done";
  await inNamespace(namespace, ["sh", "-ec", script]);
}

/** Source NAT for what goes out of `wan`; towards `lan` only answers pass. */
export async function enableNat(namespace: string, lan: string, wan: string): Promise<void> {
  const rules = `
    table ip home {
      chain postrouting { type nat hook postrouting priority srcnat; oifname "${wan}" masquerade; }
      chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "${lan}" accept
      }
    }`;
  await inNamespace(namespace, ["nft", "-f", "-"], { input: rules });
}

/** The words that run a command in a namespace and, by the kernel, end it when the process that starts it ends. */
export function namespaceCommand(namespace: string, command: readonly string[]): string[] {
  return ["ip", "netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL", ...command];
}

export function inNamespace(
  namespace: string,
  command: readonly string[],
  options?: CommandOptions,
): Promise<CommandOutput> {
  return runCommand(namespaceCommand(namespace, command), options);
}

async function ipIn(namespace: string, ...args: string[]): Promise<void> {
  await runCommand(["ip", "-n", namespace, ...args]);
}
