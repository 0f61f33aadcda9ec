/** Round trips of small packets, alone and beside a transfer that takes all it can get. */
import { setTimeout } from "node:timers/promises";
import { BenchError } from "../bench-error.ts";
import type { Figures, Measure } from "../measure.ts";
import type { PingReport } from "../ping-report.ts";
import { quantile } from "../statistics.ts";
import { ping, transfer } from "../traffic.ts";

const INTERVAL_MS = 5;
/** The transfer is at full speed after this, and still when the last ping is answered. */
const HEAD_MS = 700;
const TAIL_MS = 500;

export const latency: readonly Measure[] = [
  {
    name: "ping-idle",
    title: "Ping, idle",
    ground: "near",
    applies: () => true,
    run: async ({ bed, tunnel, effort }) => {
      const to = tunnel.right.ipv4;
      return figures(await ping(bed.left, { to, count: effort.pings, intervalMs: INTERVAL_MS }));
    },
  },
  {
    name: "ping-loaded",
    title: "Ping beside a saturating TCP stream",
    ground: "near",
    applies: ({ kind }) => kind !== "ceiling",
    run: async ({ bed, tunnel, effort }) => {
      const to = tunnel.right.ipv4;
      const bulk = transfer(bed, { to, seconds: effort.seconds });
      bulk.catch(() => {}); // awaited below
      await setTimeout(HEAD_MS);
      const count = Math.floor((effort.seconds * 1000 - HEAD_MS - TAIL_MS) / INTERVAL_MS);
      const report = await ping(bed.left, { to, count, intervalMs: INTERVAL_MS });
      const { receivedBytes, seconds } = await bulk;
      return { ...figures(report), bulkMbits: (receivedBytes * 8) / seconds / 1e6 };
    },
  },
];

function figures({ roundTripsMs, sent, received }: PingReport): Figures {
  const [p50, p99] = [quantile(roundTripsMs, 0.5), quantile(roundTripsMs, 0.99)];
  if (p50 === undefined || p99 === undefined) throw new BenchError("no echo came back");
  return { p50Ms: p50, p99Ms: p99, lost: Math.max(0, sent - received) };
}
