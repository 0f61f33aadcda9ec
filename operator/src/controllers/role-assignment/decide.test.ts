import type { RoleAssignment } from "@saf/crds";
import { decideAssignment } from "./decide.ts";

const NOW_MS = Date.parse("2027-01-15T08:00:00Z");

function assignment(spec: Partial<RoleAssignment["spec"]> = {}): RoleAssignment {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "RoleAssignment",
    metadata: { name: "relays", generation: 1 },
    spec: { role: "relay", nodeName: "home-a", ...spec },
  };
}

function decide(
  spec: Partial<RoleAssignment["spec"]>,
  epoch: number | null,
  confirmed: Record<string, number>,
) {
  return decideAssignment({
    assignment: assignment(spec),
    targets: ["a", "b"],
    epoch,
    confirmedBy: (nodeId) => confirmed[nodeId] ?? null,
    nowMs: NOW_MS,
  });
}

const reasons = (outcome: ReturnType<typeof decide>) =>
  outcome.status.conditions?.map(({ status, reason }) => `${status} ${reason}`);

it.each<[string, Partial<RoleAssignment["spec"]>, number | null, Record<string, number>, string[]]>([
  ["everybody confirmed", {}, 9, { a: 9, b: 12 }, ["True InForce", "True Confirmed"]],
  ["one has not", {}, 9, { a: 9, b: 8 }, ["True InForce", "False AwaitingNodes"]],
  ["one was never heard of", {}, 9, { a: 9 }, ["True InForce", "False AwaitingNodes"]],
  ["no snapshot carries it", {}, null, {}, ["True InForce", "False NotPublished"]],
])("when %s", (_what, spec, epoch, confirmed, expected) => {
  expect(reasons(decide(spec, epoch, confirmed))).toEqual(expected);
});

it("is not in force before or after its time, and asks for the moment when that changes", () => {
  const early = decide({ notBefore: "2027-01-15T08:00:10Z" }, 9, { a: 9, b: 9 });
  expect(reasons(early)?.[0]).toBe("False Pending");
  expect(early.nextMs).toBe(NOW_MS + 10_000);
  const late = decide({ expiresAt: "2027-01-15T08:00:00Z" }, 9, { a: 9, b: 9 });
  expect(reasons(late)?.[0]).toBe("False Expired");
  expect(late.nextMs).toBeNull();
});

it("is not in force when it means nobody", () => {
  const { status } = decideAssignment({
    assignment: assignment(),
    targets: [],
    epoch: 9,
    confirmedBy: () => null,
    nowMs: NOW_MS,
  });
  expect(status).toMatchObject({ nodes: 0, epoch: 9 });
  expect(status.conditions?.[0]?.reason).toBe("NoMatch");
});
