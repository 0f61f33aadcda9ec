/** Runs iperf3 and ping between the two hosts, inside a tunnel. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { until } from "../demo/wait.ts";
import type { Host } from "../lab/host.ts";
import { BenchError } from "./bench-error.ts";
import { parseIperfReport, type IperfReport } from "./iperf-report.ts";
import { parsePings, type PingReport } from "./ping-report.ts";
import type { Testbed } from "./testbed.ts";

/** Each transfer has a port of its own: what is still under way of an earlier flood finds nobody. */
const FIRST_PORT = 5201;
const PORTS = 1000;
let transfers = 0;
/** What iperf3 takes beyond its own time to say hello and goodbye, also over a path that loses much. */
const GRACE_MS = 15_000;

export interface TransferOptions {
  /** Inside the tunnel, of the right host. */
  readonly to: string;
  readonly seconds: number;
  readonly streams?: number;
  /** UDP datagrams of that size, as many as the sender can make; default: TCP with cubic. */
  readonly floodBytes?: number;
}

/** From left to right. Rejects with BenchError when it does not go to its end. */
export async function transfer(bed: Testbed, options: TransferOptions): Promise<IperfReport> {
  const { to, seconds, streams = 1, floodBytes } = options;
  const port = FIRST_PORT + (transfers++ % PORTS);
  const server = bed.right.spawn(["iperf3", "-s", "-1", "-B", to, "-p", String(port)], { stdio: "ignore" });
  try {
    await until("iperf3 listens", async () => (listens(server, port) ? true : undefined), {
      timeoutMs: 5_000,
      everyMs: 5,
    });
    const kind = floodBytes === undefined ? ["-C", "cubic"] : ["-u", "-b", "0", "-l", String(floodBytes)];
    const client = ["iperf3", "-c", to, "-p", String(port), "-t", String(seconds), "-P", String(streams)];
    return parseIperfReport(await outputOf(bed.left, [...client, ...kind, "-J"], seconds * 1000 + GRACE_MS));
  } finally {
    await end(server);
  }
}

export interface PingOptions {
  readonly to: string;
  readonly count: number;
  readonly intervalMs: number;
}

/** Lost echoes are no error: they are in the report. */
export async function ping(from: Host, { to, count, intervalMs }: PingOptions): Promise<PingReport> {
  const command = ["ping", "-n", "-i", String(intervalMs / 1000), "-c", String(count), "-W", "1", to];
  return parsePings(await outputOf(from, command, count * intervalMs + GRACE_MS));
}

/** All that it prints, whatever its exit code: both programs print their report also when they are not content. */
async function outputOf(host: Host, command: readonly string[], timeoutMs: number): Promise<string> {
  const child = host.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let complaint = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const [, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  if (signal !== null) throw new BenchError(`${command[0]} did not end within ${timeoutMs / 1000} s`);
  if (said === "") throw new BenchError(`${command[0]}: ${complaint.trim().slice(-300)}`);
  return said;
}

/** Whether a socket in the process's network namespace listens on that port. */
function listens({ pid, exitCode }: ChildProcess, port: number): boolean {
  if (pid === undefined || exitCode !== null) throw new BenchError("iperf3 does not start");
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  return ["tcp", "tcp6"].some((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .split("\n")
      .some((line) => line.includes(wanted) && line.includes(" 0A ")),
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
