/** No tunnel at all: the wire that all of them share. */
import type { Contender } from "../contender.ts";
import { packetsCross } from "../packets-cross.ts";
import { PATH_ADDRESSES } from "../wires.ts";

export const bareWire: Contender = {
  name: "wire",
  title: "The bare wire",
  kind: "ceiling",
  version: "-",
  start: async (bed) => {
    const { left, right } = PATH_ADDRESSES.path1;
    const ready = () => packetsCross(bed.left, right);
    await ready();
    return {
      left: { ipv4: left },
      right: { ipv4: right },
      pids: () => [],
      agentPids: () => [],
      ready,
      stop: async () => {},
    };
  },
};
