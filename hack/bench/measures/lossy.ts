/** One TCP stream over a path that loses packets at random, both ways. */
import type { Ground, Measure } from "../measure.ts";
import { tcp } from "./transfers.ts";

function lossy(percent: number, ground: Ground, slow: boolean): Measure {
  const far = ground === "far";
  return {
    name: far ? `loss-${percent}-far` : `loss-${percent}`,
    title: `TCP, one stream, ${percent} % loss${far ? ", RTT 20 ms" : ""}`,
    ground,
    slow,
    applies: ({ kind, name }) => kind !== "ceiling" && name !== "fabric-normal",
    run: async (stand) => {
      const { wires } = stand.bed;
      await wires.trouble("path1", { lossPercent: percent });
      try {
        return await tcp(stand, 1, stand.tunnel.right.ipv4);
      } finally {
        await wires.trouble("path1", {});
      }
    },
  };
}

export const losses: readonly Measure[] = [
  lossy(0.1, "near", true),
  lossy(0.5, "near", false),
  lossy(1, "near", true),
  lossy(5, "near", true),
  lossy(0.5, "far", true),
];
