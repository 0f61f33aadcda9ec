import type { Approval, JoinRequest } from "@saf/crds";
import type { JoinRequestRecord } from "../../ledger/ledger.ts";
import { decideRequestStatus, shows, specFor, tells, verdictOf, type Obstacle } from "./decide.ts";
import { sampleFacts } from "../../control/testing/sample-heartbeat.ts";

const NOW_MS = 1_800_000_000_000;

const ID = "11111111-2222-4333-8444-555555555555";

const row: JoinRequestRecord = {
  requestId: "home-a-aaaaaaaa",
  nodeName: "home-a",
  fingerprint: "a".repeat(64),
  csrPem: "",
  tokenName: "rack-7",
  pod: null,
  requestedRoles: ["relay", "exit"],
  area: "attic",
  facts: sampleFacts,
  capabilities: { protocolVersions: ["saf/1"] },
  candidates: ["192.168.1.2:7443"],
  createdAt: 1,
  decision: "Pending",
  decidedBy: null,
  decidedAt: null,
  reason: null,
  nodeId: null,
};

function request(approvals: Approval[] = [], changes: Partial<JoinRequest["spec"]> = {}): JoinRequest {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "JoinRequest",
    metadata: { name: row.requestId, generation: 3 },
    spec: { ...specFor(row), approvals, ...changes },
  };
}

const yes = (user: string): Approval => ({ user, decision: "Approve" });
const no = (user: string): Approval => ({ user, decision: "Deny", reason: "unknown box" });

describe("verdictOf", () => {
  it.each([
    ["nobody said anything", [], undefined],
    ["somebody approved", [yes("ann")], { decision: "Approved", actor: "ann", reason: "" }],
    ["somebody denied", [no("bob")], { decision: "Denied", actor: "bob", reason: "unknown box" }],
    [
      "one denied among approvals",
      [yes("ann"), no("bob"), yes("eve")],
      { decision: "Denied", actor: "bob", reason: "unknown box" },
    ],
    ["two approved", [yes("ann"), yes("eve")], { decision: "Approved", actor: "ann", reason: "" }],
  ] as const)("when %s", (_what, approvals, verdict) => {
    expect(verdictOf(request([...approvals]))).toEqual(verdict);
  });
});

describe("shows", () => {
  it("accepts its own projection, whatever the order of roles", () => {
    expect(shows(request(), row)).toBe(true);
  });
  it.each<[string, Partial<JoinRequest["spec"]>]>([
    ["another key", { fingerprint: "b".repeat(64) }],
    ["another name", { nodeName: "home-b" }],
    ["another token", { tokenName: "other" }],
    ["fewer roles", { requestedRoles: ["relay"] }],
    ["a nicer host name", { facts: { ...row.facts, hostname: "the-boss" } }],
    ["another area", { area: "cellar" }],
    ["other candidates", { candidates: [] }],
  ])("refuses %s", (_what, changes) => {
    expect(shows(request([], changes), row)).toBe(false);
  });
});

describe("tells", () => {
  const approved = {
    ...row,
    decision: "Approved",
    decidedBy: "ann",
    decidedAt: 1,
    reason: "",
    nodeId: ID,
  } as const;
  const shown = (of: JoinRequestRecord, changes: object = {}, obstacle?: Obstacle): JoinRequest => ({
    ...request(),
    status: { ...decideRequestStatus({ request: request(), row: of, obstacle, nowMs: NOW_MS }), ...changes },
  });

  it("knows the decision that it wrote itself", () => {
    expect(tells(shown(approved), approved)).toBe(true);
    const denied = { ...row, decision: "Denied", decidedBy: "bob", decidedAt: 1, reason: "no" } as const;
    expect(tells(shown(denied), denied)).toBe(true);
  });
  it.each<[string, JoinRequest, JoinRequestRecord]>([
    ["a decision that nobody made", shown(approved), row],
    ["another decider", shown(approved, { decidedBy: "admin" }), approved],
    ["another decision", shown(approved, { decision: "Denied" }), approved],
    ["another node", shown(approved, { nodeId: ID.replace("1", "2") }), approved],
    ["a reason that nobody gave", shown(approved, { reason: "the boss said so" }), approved],
    ["objects not made yet", shown(approved, {}, { reason: "ObjectInTheWay", message: "" }), approved],
  ])("sees through %s", (_what, object, of) => {
    expect(tells(object, of)).toBe(false);
  });
});

describe("status", () => {
  const status = (changes: Partial<JoinRequestRecord> | undefined, spec: Partial<JoinRequest["spec"]> = {}) =>
    decideRequestStatus({
      request: request([], spec),
      row: changes && { ...row, ...changes },
      nowMs: NOW_MS,
    });
  const approved: Partial<JoinRequestRecord> = {
    decision: "Approved",
    decidedBy: "ann",
    decidedAt: 1_800_000_000,
    reason: "",
    nodeId: "id",
  };
  const denied: Partial<JoinRequestRecord> = {
    decision: "Denied",
    decidedBy: "bob",
    decidedAt: 1_800_000_000,
    reason: "unknown box",
  };

  it.each<[string, Partial<JoinRequestRecord> | undefined, string, [string, string, string]]>([
    ["pending", {}, "AwaitingDecision", ["False", "False", "False"]],
    ["approved", approved, "Approved", ["True", "True", "False"]],
    ["denied", denied, "Denied", ["False", "False", "True"]],
    ["unknown", undefined, "UnknownToLedger", ["False", "False", "False"]],
  ])("of a request that is %s", (_what, changes, reason, statuses) => {
    const conditions = status(changes).conditions ?? [];
    expect(conditions.map(({ type }) => type)).toEqual(["Ready", "Approved", "Denied"]);
    expect(conditions.map((condition) => condition.status)).toEqual(statuses);
    expect(conditions[0]?.reason).toBe(reason);
  });

  it("names who decided, when and why", () => {
    expect(status(denied)).toMatchObject({
      decision: "Denied",
      decidedBy: "bob",
      decidedAt: "2027-01-15T08:00:00Z",
      reason: "unknown box",
    });
    expect(status(approved)).toMatchObject({ decision: "Approved", nodeId: "id" });
  });

  it("does not lend a decision to an object that shows something else", () => {
    const other = status(approved, { fingerprint: "b".repeat(64) });
    expect(other).toMatchObject({ decision: "Pending" });
    expect(other).not.toHaveProperty("nodeId");
    expect(other.conditions?.[0]?.reason).toBe("SpecMismatch");
  });

  it("says what an approval waits for", () => {
    const obstacle = { reason: "AddressPoolExhausted", message: "no free address" } as const;
    const waiting = decideRequestStatus({ request: request([yes("ann")]), row, obstacle, nowMs: NOW_MS });
    expect(waiting).toMatchObject({ decision: "Pending" });
    expect(waiting.conditions?.[0]?.reason).toBe("AddressPoolExhausted");
  });
});
