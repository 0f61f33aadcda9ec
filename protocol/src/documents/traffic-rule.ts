/**
 * Which packet gets which traffic class. An ordered table: the first rule that fits decides, and what none fits is `bulk`. It
 * travels in the signed snapshot, so that both ends of a session, and every node, tell traffic apart in the same way.
 */
import { z } from "zod";

/** Each new flow is compared with all of them; the default table has ten. */
export const MAX_TRAFFIC_RULES = 64;
/** Port ranges of one rule. More of them make another rule. */
export const MAX_RULE_PORTS = 16;
/** DSCP values of one rule: a quarter of all there are. */
export const MAX_RULE_DSCP = 16;
/** 8 Tbit/s: faster than any link this could be asked for. */
export const MAX_BYTES_PER_SECOND = 1_000_000_000_000;

/** From what passes first to what is dropped first. */
export const TRAFFIC_CLASSES = ["control", "dns", "interactive", "reliable", "bulk", "droppable"] as const;

const port = z.int().min(1).max(65_535);
const portRange = z
  .object({ from: port, to: port.optional() })
  .refine(({ from, to = from }) => from <= to, "from is above to");

/** Fits what meets all of its conditions; an absent one is met by everything. */
export const trafficRule = z.object({
  class: z.enum(TRAFFIC_CLASSES),
  /** `icmp` is ICMPv6 too. */
  protocol: z.enum(["tcp", "udp", "icmp"]).optional(),
  /** The source or the destination port lies in one of these. */
  ports: z.array(portRange).min(1).max(MAX_RULE_PORTS).optional(),
  /** The packet is marked with one of these (RFC 2474). */
  dscp: z.array(z.int().min(0).max(63)).min(1).max(MAX_RULE_DSCP).optional(),
  /** The inner IP packet has at most this length. */
  maxPacketBytes: z.int().min(1).max(65_535).optional(),
  /** The flow's recent rate is lower than this. */
  belowBytesPerSecond: z.int().min(1).max(MAX_BYTES_PER_SECOND).optional(),
});
export type TrafficRule = z.infer<typeof trafficRule>;

export const trafficRules = z.array(trafficRule).max(MAX_TRAFFIC_RULES).readonly();

/** 100 Mbit/s: a mark alone must not take the whole link. */
const MARKED = 12_500_000;
/** 8 Mbit/s: a call with video stays below, a download does not. */
const MODEST = 1_000_000;

/**
 * The table of a cluster that names none, and of snapshots from before there were rules. docs/api.md explains each.
 */
export const DEFAULT_TRAFFIC_RULES: readonly TrafficRule[] = [
  { class: "control", dscp: [48, 56], belowBytesPerSecond: MARKED },
  { class: "interactive", dscp: [46, 44, 40, 32, 34, 36, 38], belowBytesPerSecond: MARKED },
  { class: "droppable", dscp: [8, 1] },
  { class: "bulk", dscp: [10, 12, 14] },
  { class: "dns", ports: [{ from: 53 }, { from: 853 }, { from: 5353 }], belowBytesPerSecond: MODEST },
  { class: "interactive", protocol: "icmp", belowBytesPerSecond: MODEST },
  {
    class: "interactive",
    protocol: "tcp",
    ports: [{ from: 22, to: 23 }, { from: 3389 }, { from: 5900 }],
    belowBytesPerSecond: 250_000,
  },
  { class: "interactive", protocol: "udp", belowBytesPerSecond: MODEST },
  { class: "reliable", protocol: "tcp", belowBytesPerSecond: 125_000 },
  { class: "bulk" },
];
