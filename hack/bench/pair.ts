/** A tunnel of one program at each end, as all contenders but the fabric are. */
import type { InnerAddresses, Tunnel } from "./contender.ts";
import { packetsCross } from "./packets-cross.ts";
import type { Testbed } from "./testbed.ts";
import type { TunnelProcess } from "./tunnel-process.ts";
import type { Side } from "./wires.ts";

export async function pairUp(
  bed: Testbed,
  inner: Readonly<Record<Side, InnerAddresses>>,
  processes: readonly TunnelProcess[],
): Promise<Tunnel> {
  const ready = async (): Promise<void> => {
    for (const one of processes) one.check();
    await packetsCross(bed.left, inner.right.ipv4);
  };
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((one) => one.stop()));
  };
  try {
    await ready();
  } catch (error) {
    for (const one of processes) one.check(); // its own last words say more
    await stop();
    throw error;
  }
  return { ...inner, pids: () => processes.map(({ pid }) => pid), agentPids: () => [], ready, stop };
}
