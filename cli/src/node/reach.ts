/** Whether an address answers, without rights: `ping` where the host has it, else a TCP connection, whose refusal is an answer too. */
import { execFile } from "node:child_process";
import { connect } from "node:net";

export interface Reach {
  readonly answered: boolean;
  readonly by: "ping" | "tcp";
  readonly rttMs: number | null;
}

const ECHOES = 3;
/** Far more than a round trip around the world. */
const PATIENCE_MS = 4_000;
/** Nobody listens on `discard` any more: the host itself says so, which is the answer. */
const DISCARD_PORT = 9;

export async function reach(address: string): Promise<Reach> {
  return (await ping(address)) ?? (await tryTcp(address));
}

/** Null: this host has no `ping`, or does not let us. */
function ping(address: string): Promise<Reach | null> {
  const args = ["-n", "-q", "-c", String(ECHOES), "-i", "0.2", "-w", String(PATIENCE_MS / 1000), address];
  return new Promise((resolve) => {
    execFile(
      "ping",
      args,
      { timeout: PATIENCE_MS + 1_000, env: { ...process.env, LC_ALL: "C" } },
      (error, stdout) => {
        const received = /(\d+) (?:packets )?received/.exec(stdout)?.[1];
        if (received === undefined) return resolve(null);
        const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
        const rttMs = average === undefined ? null : Number(average);
        resolve({ answered: error === null && Number(received) > 0, by: "ping", rttMs });
      },
    );
  });
}

function tryTcp(address: string): Promise<Reach> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: DISCARD_PORT, timeout: PATIENCE_MS });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve({ answered, by: "tcp", rttMs: answered ? performance.now() - startedMs : null });
    };
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => end(code === "ECONNREFUSED"));
  });
}
