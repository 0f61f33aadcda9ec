import type { NodeState } from "../local-api/views.ts";
import { createPulse, readiness } from "./health.ts";

const snapshot = { term: 1, epoch: 2, issuedAt: 0, expiresAt: 9 };
const engine = { connected: true } as Parameters<typeof readiness>[0]["engine"];
const ready = (state: NodeState, reasonCode: string | null, more: object = {}) =>
  readiness({ state, reasonCode, snapshot, engine, ...more }).ok;

it.each<[NodeState, string | null, boolean]>([
  ["running", null, true],
  ["degraded", "OPERATOR_SILENT", true],
  ["degraded", "OPERATOR_UNHEARD", true],
  ["degraded", "STATE_DISK_FULL", true],
  ["degraded", "ENGINE_UNREACHABLE", false],
  ["degraded", "TUNNEL_FAILED", false],
  ["unenrolled", null, false],
  ["joining", "SNAPSHOT_AWAITED", false],
  ["pending", null, false],
  ["denied", "DENIED", false],
  ["revoked", "REVOKED", false],
  ["expired", "SNAPSHOT_EXPIRED", false],
])("%s by %s: ready is %s", (state, reason, expected) => {
  expect(ready(state, reason)).toBe(expected);
});

it("is not ready without a snapshot or an engine, whatever the state says", () => {
  expect(ready("running", null, { snapshot: null })).toBe(false);
  expect(ready("running", null, { engine: { ...engine, connected: false } })).toBe(false);
});

it("is alive while it turns", () => {
  let now = 0;
  const pulse = createPulse(() => now);
  now = 59_000;
  expect(pulse.live().ok).toBe(true);
  now = 60_000;
  expect(pulse.live()).toMatchObject({ ok: false, reason: "LOOP_HANGS" });
  pulse.beat();
  expect(pulse.live().ok).toBe(true);
});
