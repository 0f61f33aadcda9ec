/** Pings that run through a step, and what became of them. */
import type { Host } from "../lab/host.ts";
import { follow } from "./command.ts";
import { countPings, type PingCount } from "./ping-log.ts";
import { require, until } from "./wait.ts";

/** Fine enough to see a gap of a few packets, coarse enough to cost nothing. */
const INTERVAL_MS = 20;

export interface PingWatch {
  /** Whether every ping has been answered at least once since this call, before it has been long. */
  answeredSinceNow(): Promise<boolean>;
  /** Ends the pings: the sum of all, and the longest gap of any. Throws when one of them never had an answer. */
  stop(): Promise<PingCount>;
}

export interface PingPath {
  readonly from: Host;
  readonly address: string;
}

/** Resolves when every ping has been answered once. */
export async function watchPings(paths: readonly PingPath[]): Promise<PingWatch> {
  const pings = paths.map(({ from, address }) => {
    const command = ["ping", "-n", "-i", String(INTERVAL_MS / 1000), address];
    return follow(
      `ping ${address} from ${from.name}`,
      from.spawn(command, { stdio: ["ignore", "pipe", "pipe"] }),
    );
  });
  const received = (): number[] => pings.map((ping) => countPings(ping.output(), INTERVAL_MS).received);
  const answeredBeyond = (before: readonly number[]): boolean =>
    received().every((n, i) => n > (before[i] ?? 0));
  const answered = async (): Promise<boolean> => {
    const before = received();
    await until("every ping is answered", async () => (answeredBeyond(before) ? true : undefined), {
      timeoutMs: 500,
    });
    return true;
  };
  await until("every ping is answered", async () => (answeredBeyond([]) ? true : undefined), {
    timeoutMs: 5_000,
  });
  return {
    answeredSinceNow: answered,
    stop: async () => {
      await answered();
      const counts = (await Promise.all(pings.map((ping) => ping.interrupt()))).map((output) =>
        countPings(output, INTERVAL_MS),
      );
      require(counts.every((count) => count.received > 0), "a ping was never answered");
      return {
        received: counts.reduce((sum, count) => sum + count.received, 0),
        lost: counts.reduce((sum, count) => sum + count.lost, 0),
        longestGapMs: Math.max(...counts.map((count) => count.longestGapMs)),
      };
    },
  };
}
