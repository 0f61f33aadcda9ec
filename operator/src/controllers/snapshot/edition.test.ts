import type { RoleAssignment } from "@saf/crds";
import { differ, effectsOf } from "./edition.ts";

function assignment(status?: RoleAssignment["status"]): RoleAssignment {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "RoleAssignment",
    metadata: { name: "relays", uid: "u", generation: 2 },
    spec: { role: "relay", nodeName: "a" },
    ...(status && { status }),
  };
}

const targets = (...ids: string[]) => ({ targets: new Map([["relays", ids]]) });

it("keeps an assignment's epoch while it does the same", () => {
  const first = effectsOf([assignment()], targets("a"), 5, undefined);
  const second = effectsOf([assignment()], targets("a"), 9, first);
  expect(second.get("relays")?.epoch).toBe(5);
});

it("gives it the new epoch when its nodes change", () => {
  const first = effectsOf([assignment()], targets("a"), 5, undefined);
  expect(effectsOf([assignment()], targets("a", "b"), 9, first).get("relays")?.epoch).toBe(9);
});

it("takes up what a former operator wrote", () => {
  const written = assignment({ observedGeneration: 2, nodes: 1, epoch: 3 });
  expect(effectsOf([written], targets("a"), 9, undefined).get("relays")?.epoch).toBe(3);
});

it.each([
  ["another generation", { observedGeneration: 1, nodes: 1, epoch: 3 }],
  ["other nodes", { observedGeneration: 2, nodes: 2, epoch: 3 }],
])("but not for %s", (_what, status) => {
  expect(effectsOf([assignment(status)], targets("a"), 9, undefined).get("relays")?.epoch).toBe(9);
});

it("sees every difference between two sets of contents", () => {
  const of = (entries: Record<string, string>) => new Map(Object.entries(entries));
  expect(differ(of({ a: "1" }), of({ a: "1" }))).toBe(false);
  expect(differ(of({ a: "1" }), of({ a: "2" }))).toBe(true);
  expect(differ(of({ a: "1" }), of({ b: "1" }))).toBe(true);
  expect(differ(of({ a: "1" }), of({ a: "1", b: "1" }))).toBe(true);
  expect(differ(of({ a: "1", b: "1" }), of({ a: "1" }))).toBe(true);
});
