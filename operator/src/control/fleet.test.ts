import type { Heartbeat } from "@saf/protocol";
import { createFleet, type Aspect } from "./fleet.ts";
import { sampleHeartbeat } from "./testing/sample-heartbeat.ts";

const beat = (changes: Partial<Heartbeat> = {}): Heartbeat =>
  sampleHeartbeat({ sequence: 1, certificateNotAfter: 0, ...changes });

function bench() {
  const fleet = createFleet();
  const told: [string, readonly Aspect[]][] = [];
  fleet.onChange((nodeId, aspects) => told.push([nodeId, aspects]));
  return { fleet, told };
}

it("tells what a change touches", () => {
  const { fleet, told } = bench();
  fleet.sessionReady("a", "203.0.113.7:1", 1);
  fleet.heard("a", beat(), 2);
  fleet.heard("a", beat({ sequence: 2 }), 3);
  fleet.heard("a", beat({ applied: { term: 1, epoch: 2, issuedAt: 3, expiresAt: 4 } }), 4);
  fleet.sessionClosed("a");
  expect(told.map(([, aspects]) => aspects)).toEqual([
    ["session", "reachability"],
    ["heartbeat", "reachability"],
    ["heartbeat"],
    ["heartbeat", "applied"],
    ["session"],
  ]);
});

it("keeps where a node was seen after its session ended", () => {
  const { fleet } = bench();
  fleet.sessionReady("a", "203.0.113.7:1", 1);
  fleet.sessionClosed("a");
  expect(fleet.facts("a")).toMatchObject({ session: null, observed: "203.0.113.7:1" });
  expect(fleet.connected()).toEqual([]);
});

it("believes the node more than what was written down of it", () => {
  const { fleet } = bench();
  fleet.heard("a", beat({ candidates: ["192.168.1.6:7443"] }), 1);
  fleet.remember("a", { observed: "203.0.113.9:1", candidates: ["10.0.0.1:7443"] });
  expect(fleet.facts("a")).toMatchObject({ observed: "203.0.113.9:1", candidates: ["192.168.1.6:7443"] });
});

it("says nothing twice", () => {
  const { fleet, told } = bench();
  fleet.sessionReady("a", "203.0.113.7:1", 1);
  fleet.sessionReady("a", "203.0.113.7:1", 2);
  fleet.sessionClosed("b");
  expect(told).toHaveLength(1);
});
