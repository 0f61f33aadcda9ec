import { createFleet } from "../../control/fleet.ts";
import { sampleHeartbeat } from "../../control/testing/sample-heartbeat.ts";
import { ManualClock } from "../../kube/manual-clock.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { confirmedByAll } from "./confirmed.ts";

const NOW_SECONDS = 1_800_000_000;

function member(nodeId: string, changes: Partial<Identity> = {}): Identity {
  return {
    nodeId,
    nodeName: nodeId,
    requestId: nodeId,
    fingerprint: nodeId,
    addresses: { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
    area: null,
    status: "Active",
    reason: null,
    createdAt: 0,
    certificateNotAfter: NOW_SECONDS + 3600,
    ...changes,
  };
}

const clock = new ManualClock(NOW_SECONDS * 1000);
const applied = (epoch: number) => ({ term: 1, epoch, issuedAt: NOW_SECONDS, expiresAt: NOW_SECONDS + 60 });

function heard(said: Readonly<Record<string, { epoch: number; degraded?: boolean }>>) {
  const fleet = createFleet();
  for (const [nodeId, { epoch, degraded = false }] of Object.entries(said))
    fleet.heard(nodeId, sampleHeartbeat({ applied: applied(epoch), degraded }), clock.nowMs());
  return fleet;
}
const confirmed = (members: readonly Identity[], said: Parameters<typeof heard>[0]): number =>
  confirmedByAll({ clock, fleet: heard(said), identities: { all: () => members } });

it("is what the one who is furthest behind said, away or not", () => {
  expect(confirmed([member("a"), member("b")], { a: { epoch: 9 }, b: { epoch: 7 } })).toBe(7);
});

it("waits for a member that this operator has not heard, until no snapshot of its can be good", () => {
  expect(confirmed([member("a"), member("b")], { a: { epoch: 9 } })).toBe(-1);
  const expired = member("b", { certificateNotAfter: NOW_SECONDS - 3600 });
  const unborn = member("c", { certificateNotAfter: null });
  const revoked = member("d", { status: "Revoked" });
  expect(confirmed([member("a"), expired, unborn, revoked], { a: { epoch: 9 } })).toBe(9);
});

it("does not count what a node may not have been able to write down: it starts again with an older snapshot", () => {
  const members = [member("a"), member("b")];
  expect(confirmed(members, { a: { epoch: 9 }, b: { epoch: 9, degraded: true } })).toBe(-1);
  expect(confirmed(members, { a: { epoch: 9 }, b: { epoch: 9 } })).toBe(9);
});
