/** A tunnel of one program at each end that makes a TUN device, as all contenders but the fabric and the bare wire are. */
import type { InnerAddresses, Tunnel } from "./contender.ts";
import { configureDevice, deviceExists, type Slot } from "./device.ts";
import { packetsCross } from "./packets-cross.ts";
import { until } from "../demo/wait.ts";
import type { Testbed } from "./testbed.ts";
import type { TunnelProcess } from "./tunnel-process.ts";
import type { Side } from "./wires.ts";

export interface Pair {
  readonly place: Slot;
  readonly mtu: number;
  /** Which addresses of the slot the devices get; default: both families. */
  readonly ipv4Only?: boolean;
  start(side: Side): TunnelProcess;
  /** What the program has to be told once its device is there. */
  instruct?(side: Side, program: TunnelProcess): Promise<void>;
}

/** The right end is started first. Resolves when packets cross; else both ends are stopped, and the reason is theirs if they gave one. */
export async function startPair(bed: Testbed, pair: Pair): Promise<Tunnel> {
  const { place, mtu, ipv4Only = false } = pair;
  const inner = (side: Side): InnerAddresses =>
    ipv4Only ? { ipv4: place.inner[side].ipv4 } : place.inner[side];
  const programs: TunnelProcess[] = [];
  const check = (): void => programs.forEach((program) => program.check());
  const stop = async (): Promise<void> => {
    await Promise.all(programs.map((program) => program.stop()));
  };
  const ready = async (): Promise<void> => {
    check();
    await packetsCross(bed.left, inner("right").ipv4);
  };
  try {
    for (const side of ["right", "left"] as const) {
      const program = pair.start(side);
      programs.push(program);
      await until(
        `${place.device} on ${side}`,
        async () => program.ended() || (await deviceExists(bed[side], place.device)) || undefined,
        { timeoutMs: 10_000, everyMs: 20 },
      );
      check();
      await pair.instruct?.(side, program);
      await configureDevice(bed[side], place.device, inner(side), mtu);
    }
    await ready();
  } catch (error) {
    try {
      check(); // its own last words say more
    } finally {
      await stop();
    }
    throw error;
  }
  return {
    left: inner("left"),
    right: inner("right"),
    pids: () => programs.map(({ pid }) => pid),
    agentPids: () => [],
    ready,
    stop,
  };
}
