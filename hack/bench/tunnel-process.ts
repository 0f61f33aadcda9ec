/** A contender's program, one for each end. It ends with the lab, or with `stop`. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import type { Host } from "../lab/host.ts";
import type { Testbed } from "./testbed.ts";
import { BenchError } from "./bench-error.ts";

export interface TunnelProcess {
  readonly pid: number;
  ended(): boolean;
  /** Throws with the end of its log when it has ended by itself. */
  check(): void;
  stop(): Promise<void>;
}

export function startTunnelProcess(
  bed: Testbed,
  host: Host,
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): TunnelProcess {
  const logFile = join(bed.lab.directory, "logs", `${host.name}.${name}.log`);
  const log = openSync(logFile, "a");
  const child = host.spawn(command, {
    stdio: ["ignore", log, log],
    env: { ...process.env, ...env },
    cwd: host.directory,
  });
  closeSync(log);
  const exited = once(child, "exit");
  exited.catch(() => {}); // it could not be started: check() says so
  const ended = (): boolean =>
    child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    ended,
    check: () => {
      if (!ended()) return;
      const lastLines = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-5).join("\n");
      const how =
        child.pid === undefined ? "cannot be started" : `has ended (${child.exitCode ?? child.signalCode})`;
      throw new BenchError(`${name} on ${host.name} ${how}: ${lastLines}`);
    },
    stop: async () => {
      if (ended()) return;
      child.kill("SIGKILL");
      await exited;
    },
  };
}
