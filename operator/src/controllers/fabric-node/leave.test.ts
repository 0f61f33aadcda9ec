import { CONFIRM_MS, DRAIN_MS, nextStep, type Leaving } from "./leave.ts";

const NOW = 1_800_000_000_000;
const active: Leaving = {
  status: "Active",
  connected: true,
  toldMs: undefined,
  editionWithout: undefined,
  unconfirmed: 0,
  nowMs: NOW,
};
const revoked: Leaving = { ...active, status: "Revoked", editionWithout: { sinceMs: NOW - 100 } };

it.each<[string, Partial<Leaving>, ReturnType<typeof nextStep>]>([
  ["is told first", {}, "tell"],
  ["has its time to leave", { toldMs: NOW - 500 }, { waitMs: DRAIN_MS - 500 }],
  ["that has left is revoked", { toldMs: NOW - 500, connected: false }, "revoke"],
  ["that does not leave is revoked all the same", { toldMs: NOW - DRAIN_MS }, "revoke"],
  ["that was gone before is not waited for", { connected: false }, "revoke"],
])("a member %s", (_what, changes, step) => {
  expect(nextStep({ ...active, ...changes })).toEqual(step);
});

it.each<[string, Partial<Leaving>, ReturnType<typeof nextStep>]>([
  ["waits until snapshots without it are out", { editionWithout: undefined }, { waitMs: 250 }],
  ["is removed once everybody in session knows", {}, "remove"],
  ["waits for those who do not know yet", { unconfirmed: 1 }, { waitMs: 250 }],
  [
    "waits for them no longer than they may take",
    { unconfirmed: 1, editionWithout: { sinceMs: NOW - CONFIRM_MS + 100 } },
    { waitMs: 100 },
  ],
  [
    "goes when their time is over",
    { unconfirmed: 9, editionWithout: { sinceMs: NOW - CONFIRM_MS } },
    "remove",
  ],
])("a revoked one %s", (_what, changes, step) => {
  expect(nextStep({ ...revoked, ...changes })).toEqual(step);
});
