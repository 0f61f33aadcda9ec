/** The bench's own forwarder: superframes in UDP and nothing else, or with AES-128-GCM. What any tunnel could at best reach. */
import type { Contender } from "../contender.ts";
import { configureDevice, deviceAppears, type Slot } from "../device.ts";
import { pairUp } from "../pair.ts";
import { startTunnelProcess, type TunnelProcess } from "../tunnel-process.ts";
import { PATH_ADDRESSES, type Side } from "../wires.ts";

export type Cipher = "none" | "aes-128-gcm";

const MTU = 1400;

export function forwarder(cipher: Cipher, binary: string, place: Slot): Contender {
  const name = cipher === "none" ? "ceiling-plain" : "ceiling-aes";
  const what = cipher === "none" ? "no crypto" : "AES-128-GCM only";
  return {
    name,
    title: `Ceiling, ${what}`,
    kind: "ceiling",
    version: "this tree",
    start: async (bed) => {
      const processes: TunnelProcess[] = [];
      for (const side of ["left", "right"] as const) {
        const other = side === "left" ? "right" : "left";
        const address = (end: Side): string => `${PATH_ADDRESSES.path1[end]}:${place.port}`;
        const command = [binary, place.device, address(side), address(other), cipher];
        processes.push(startTunnelProcess(bed, bed[side], name, command));
        await deviceAppears(bed[side], place.device);
        await configureDevice(bed[side], place.device, place.inner[side], MTU);
      }
      return pairUp(bed, place.inner, processes);
    },
  };
}
