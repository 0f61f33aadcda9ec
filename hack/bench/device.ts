/** Tunnel devices that a contender's program makes and the bench configures. */
import type { Host } from "../lab/host.ts";
import { runCommand } from "../lab/namespaces.ts";
import type { InnerAddresses } from "./contender.ts";
import type { Side } from "./wires.ts";

/** For tunnels that do not bring their own addresses: a network for each slot. */
export interface Slot {
  /** The same name in both namespaces. */
  readonly device: string;
  readonly inner: Readonly<Record<Side, Required<InnerAddresses>>>;
  /** UDP port of both ends. */
  readonly port: number;
}

export const MAX_SLOTS = 16;
const DEVICE_QUEUE_PACKETS = 1000;
const FIRST_PORT = 51_820;

export function slot(index: number): Slot {
  if (index >= MAX_SLOTS) throw new RangeError(`at most ${MAX_SLOTS} contenders`);
  const inner = (host: number): Required<InnerAddresses> => ({
    ipv4: `10.77.${index}.${host}`,
    ipv6: `fd77:0:0:${index}::${host}`,
  });
  return {
    device: deviceName(index),
    inner: { left: inner(1), right: inner(2) },
    port: FIRST_PORT + index,
  };
}

/** Of every slot: the fabric's agents are told that these lead nowhere. */
export const slotDevices: readonly string[] = Array.from({ length: MAX_SLOTS }, (_, index) =>
  deviceName(index),
);

function deviceName(index: number): string {
  return `bench${index}`;
}

export async function deviceExists(host: Host, device: string): Promise<boolean> {
  const { stdout } = await runCommand(["ip", "-n", host.namespace, "-o", "link", "show"]);
  return stdout.includes(`: ${device}:`);
}

export async function configureDevice(
  host: Host,
  device: string,
  { ipv4, ipv6 }: InnerAddresses,
  mtu: number,
): Promise<void> {
  const ip = (...args: string[]) => runCommand(["ip", "-n", host.namespace, ...args]);
  const addresses = [`${ipv4}/24`, ...(ipv6 === undefined ? [] : [`${ipv6}/64`])];
  const queue = String(DEVICE_QUEUE_PACKETS);
  await ip("link", "set", device, "mtu", String(mtu), "txqueuelen", queue, "up");
  for (const address of addresses) await ip("address", "replace", address, "dev", device);
}
