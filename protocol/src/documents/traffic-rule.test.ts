import { nodeSnapshotBody } from "./node-snapshot.ts";
import {
  DEFAULT_TRAFFIC_RULES,
  MAX_RULE_DSCP,
  MAX_RULE_PORTS,
  MAX_TRAFFIC_RULES,
  trafficRules,
  type TrafficRule,
} from "./traffic-rule.ts";

const widest: TrafficRule = {
  class: "droppable",
  protocol: "icmp",
  ports: Array.from({ length: MAX_RULE_PORTS }, () => ({ from: 1, to: 65_535 })),
  dscp: Array.from({ length: MAX_RULE_DSCP }, () => 63),
  maxPacketBytes: 65_535,
  belowBytesPerSecond: 1e12,
};

test("a table within its bounds comes back as it was, and so does the default one", () => {
  const table = Array.from({ length: MAX_TRAFFIC_RULES }, () => widest);
  expect(trafficRules.parse(table)).toEqual(table);
  expect(trafficRules.parse(DEFAULT_TRAFFIC_RULES)).toEqual(DEFAULT_TRAFFIC_RULES);
});

test.each<[string, object]>([
  ["of an unknown class", { class: "fast" }],
  ["without a class", { class: undefined }],
  ["of an unknown protocol", { protocol: "sctp" }],
  ["with a port too many", { ports: [...(widest.ports ?? []), { from: 1 }] }],
  ["with an empty list of ports", { ports: [] }],
  ["with ports from high to low", { ports: [{ from: 2, to: 1 }] }],
  ["with port 0", { ports: [{ from: 0 }] }],
  ["with port 65536", { ports: [{ from: 1, to: 65_536 }] }],
  ["with a DSCP of seven bits", { dscp: [64] }],
  ["with a DSCP too many", { dscp: [...(widest.dscp ?? []), 1] }],
  ["for packets of nothing", { maxPacketBytes: 0 }],
  ["for a rate of nothing", { belowBytesPerSecond: 0 }],
  ["for half a byte", { belowBytesPerSecond: 1.5 }],
  ["for a rate beyond its bound", { belowBytesPerSecond: 1e12 + 1 }],
])("a rule %s is refused", (_, change) => {
  expect(trafficRules.safeParse([{ ...widest, ...change }]).success).toBe(false);
});

test("a table with a rule too many is refused", () => {
  const table = Array.from({ length: MAX_TRAFFIC_RULES + 1 }, () => widest);
  expect(trafficRules.safeParse(table).success).toBe(false);
});

test("a snapshot from before there were rules has the default table", () => {
  expect(nodeSnapshotBody.shape.trafficRules.parse(undefined)).toEqual(DEFAULT_TRAFFIC_RULES);
});
