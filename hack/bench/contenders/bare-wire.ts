/** No tunnel at all: the wire that all of them share. */
import type { Contender } from "../contender.ts";
import { pairUp } from "../pair.ts";
import { PATH_ADDRESSES } from "../wires.ts";

export const bareWire: Contender = {
  name: "wire",
  title: "The bare wire",
  kind: "ceiling",
  version: "-",
  start: (bed) => {
    const { left, right } = PATH_ADDRESSES.path1;
    return pairUp(bed, { left: { ipv4: left }, right: { ipv4: right } }, []);
  },
};
