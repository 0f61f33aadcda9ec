/** The bench's own forwarder: superframes in UDP and nothing else, or with AES-128-GCM. What any tunnel could at best reach. */
import type { Contender } from "../contender.ts";
import type { Slot } from "../device.ts";
import { startPair } from "../pair.ts";
import { startTunnelProcess } from "../tunnel-process.ts";
import { otherSide, PATH_ADDRESSES, type Side } from "../wires.ts";

export type Cipher = "none" | "aes-128-gcm";

const MTU = 1400;

export function forwarder(cipher: Cipher, binary: string, place: Slot): Contender {
  const name = cipher === "none" ? "ceiling-plain" : "ceiling-aes";
  const what = cipher === "none" ? "no crypto" : "AES-128-GCM only";
  const address = (side: Side): string => `${PATH_ADDRESSES.path1[side]}:${place.port}`;
  return {
    name,
    title: `Ceiling, ${what}`,
    kind: "ceiling",
    version: "this tree",
    start: (bed) =>
      startPair(bed, {
        place,
        mtu: MTU,
        start: (side) => {
          const command = [binary, place.device, address(side), address(otherSide(side)), cipher];
          return startTunnelProcess(bed, bed[side], name, command);
        },
      }),
  };
}
