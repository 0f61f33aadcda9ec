/** TCP throughput with what it costs, and small packets. */
import type { Figures, Measure, Stand } from "../measure.ts";
import { BenchError } from "../bench-error.ts";
import { cpuSeconds } from "../process-usage.ts";
import { transfer } from "../traffic.ts";

const FLOOD_BYTES = 200;

export async function tcp(stand: Stand, streams: number, to: string): Promise<Figures> {
  const { bed, tunnel, effort } = stand;
  const before = cpuSeconds(tunnel.pids());
  const report = await transfer(bed, { to, seconds: effort.seconds, streams });
  const cpu = cpuSeconds(tunnel.pids()) - before;
  if (report.receivedBytes === 0) throw new BenchError("not a byte arrived");
  return {
    mbits: (report.receivedBytes * 8) / report.seconds / 1e6,
    ...(tunnel.pids().length > 0 ? { cpuSecondsPerGb: cpu / (report.receivedBytes / 1e9) } : {}),
    retransmits: report.retransmits,
  };
}

export const transfers: readonly Measure[] = [
  {
    name: "tcp1",
    title: "TCP, one stream",
    ground: "near",
    applies: () => true,
    run: (stand) => tcp(stand, 1, stand.tunnel.right.ipv4),
  },
  {
    name: "tcp4",
    title: "TCP, four streams",
    ground: "near",
    slow: true,
    applies: ({ kind, name }) => kind !== "ceiling" && name !== "fabric-normal",
    run: (stand) => tcp(stand, 4, stand.tunnel.right.ipv4),
  },
  {
    name: "tcp1-ipv6",
    title: "TCP, one stream, IPv6 inside",
    ground: "near",
    slow: true,
    applies: ({ name }) => ["fabric", "tailscale", "wireguard"].includes(name),
    run: (stand) => {
      const { ipv6 } = stand.tunnel.right;
      if (ipv6 === undefined) throw new BenchError("no IPv6 inside");
      return tcp(stand, 1, ipv6);
    },
  },
  {
    name: "udp200",
    title: "UDP flood of 200-byte packets",
    ground: "near",
    applies: () => true,
    run: async ({ bed, tunnel, effort }) => {
      const to = tunnel.right.ipv4;
      const report = await transfer(bed, { to, seconds: effort.seconds, floodBytes: FLOOD_BYTES });
      return { packetsPerSecond: report.receivedBytes / FLOOD_BYTES / report.seconds };
    },
  },
];
