/**
 * A host joins: real API server, real PostgreSQL, the operator as a process of an ordinary user with its own rights only.
 * The host speaks plain HTTPS here; what it does afterwards over QUIC is in control.e2e.test.ts.
 */
import type { Cluster, FabricNode, JoinRequest, JoinToken, RoleAssignment } from "@saf/crds";
import { buildStage, clusterOf, eventually, type RunningOperator, type Stage } from "./stage.ts";
import { createJoiner, makeToken } from "./joiner.ts";

let stage: Stage;
let operator: RunningOperator;
let pin: string;

const conditionOf = (
  object:
    | { status?: { conditions?: { type: string; status: string; reason: string }[] | undefined } | undefined }
    | undefined,
  type: string,
) => object?.status?.conditions?.find((condition) => condition.type === type);

const approve = (user: string, request: string, decision = "Approve", reason?: string): Promise<string> => {
  const entry = { user, decision, ...(reason && { reason }) };
  return stage.kubectl(
    "patch",
    "jr",
    request,
    "--type=merge",
    "-p",
    JSON.stringify({ spec: { approvals: [entry] } }),
  );
};

beforeAll(async () => {
  stage = await buildStage();
  operator = await stage.startOperator({ holder: "first", ledger: "one" });
  await stage.apply(clusterOf(stage));
  const ruled = await eventually("the Cluster is ruled", async () => {
    const cluster = await stage.get<Cluster>("cluster", "stage");
    return conditionOf(cluster, "AuthorityHeld")?.status === "True" && cluster;
  });
  pin = ruled.status?.authority?.caPin ?? "";
}, 60_000);

afterAll(async () => {
  await stage?.end();
}, 60_000);

async function activeToken(id: string, spec: object = {}): Promise<string> {
  const { token, object } = makeToken(id, pin, spec);
  await stage.apply(object);
  await eventually(`token ${id} is active`, async () => {
    const read = await stage.get<JoinToken>("jointoken", id);
    return conditionOf(read, "Ready")?.reason === "Active";
  });
  return token;
}

it("rules the cluster and says so", async () => {
  const cluster = await stage.get<Cluster>("cluster", "stage");
  expect(cluster?.status?.authority).toMatchObject({
    holder: "first",
    term: 1,
    caPin: expect.stringMatching(/^.{43}$/),
  });
  expect(conditionOf(cluster, "Ready")?.status).toBe("True");
});

it("takes a host from request to certificate", async () => {
  const token = await activeToken("first", { allowedRoles: ["relay"], area: "attic" });
  const joiner = createJoiner(stage.ports.enrolment, "home-a");
  expect(await joiner.ask(token, { requestedRoles: ["relay"] })).toMatchObject({ status: 202 });
  const shown = await eventually("the request is shown", async () => {
    const request = await stage.get<JoinRequest>("jr", joiner.requestId);
    return request?.status?.decision === "Pending" && request;
  });
  expect(shown.spec).toMatchObject({ nodeName: "home-a", fingerprint: joiner.fingerprint, area: "attic" });
  expect(await joiner.poll()).toEqual({ state: "pending" });

  const waiting = joiner.poll(20);
  await approve("admin", joiner.requestId, "Approve", "my own");
  const admitted = await waiting;
  expect(admitted).toMatchObject({ state: "approved", trustDomain: "stage.example" });

  const node = await eventually("the node appears", async () => {
    const read = await stage.get<FabricNode>("fn", "home-a");
    return conditionOf(read, "Approved")?.status === "True" && read;
  });
  expect(node.spec).toMatchObject({ fingerprint: joiner.fingerprint, area: "attic" });
  expect(node.status?.addresses?.ipv4).toMatch(/^100\.96\./);
  expect(node.status?.addresses?.ipv6).toMatch(/^fd5a::/);
  const role = await eventually("its role is assigned", () =>
    stage.get<RoleAssignment>("ra", "home-a-relay"),
  );
  expect(role.spec).toMatchObject({ role: "relay", nodeName: "home-a" });
  const request = await eventually("the decision is shown", async () => {
    const read = await stage.get<JoinRequest>("jr", joiner.requestId);
    return read?.status?.decision === "Approved" && read;
  });
  expect(request.status).toMatchObject({ decidedBy: "admin", reason: "my own", nodeId: node.spec.nodeId });
  const used = await eventually("the use is counted", async () => {
    const read = await stage.get<JoinToken>("jointoken", "first");
    return read?.status?.uses === 1 && read;
  });
  expect(used.status?.uses).toBe(1);
}, 60_000);

it("tells a denied host why", async () => {
  const token = await activeToken("second");
  const stranger = createJoiner(stage.ports.enrolment, "stranger");
  await stranger.ask(token);
  await eventually("the request is shown", () => stage.get("jr", stranger.requestId));
  await approve("admin", stranger.requestId, "Deny", "nobody knows you");
  expect(await stranger.poll(20)).toEqual({ state: "denied", reason: "nobody knows you" });
  expect(await stage.get("fn", "stranger")).toBeUndefined();
}, 60_000);

it("lets nobody approve in another's name", async () => {
  const token = await activeToken("third");
  const joiner = createJoiner(stage.ports.enrolment, "sneaky");
  await joiner.ask(token);
  await eventually("the request is shown", () => stage.get("jr", joiner.requestId));
  await expect(approve("boss", joiner.requestId)).rejects.toThrow(/only by its own user; you are admin/);
  expect(await joiner.poll()).toEqual({ state: "pending" });
}, 60_000);

it("does not honour objects that no host asked for", async () => {
  const made = await stage.get<JoinRequest>(
    "jr",
    (await stage.kubectl("get", "jr", "-o", "name")).split("\n")[0]?.split("/")[1] ?? "",
  );
  const forged = {
    ...made,
    metadata: { name: "forged-00000000" },
    spec: { ...made?.spec, nodeName: "forged" },
    status: undefined,
  };
  await stage.apply(forged);
  const shown = await eventually("the forgery is marked", async () => {
    const read = await stage.get<JoinRequest>("jr", "forged-00000000");
    return conditionOf(read, "Ready") !== undefined && read;
  });
  expect(conditionOf(shown, "Ready")?.reason).toBe("UnknownToLedger");
  const node = { apiVersion: "fabric.saf.dev/v1alpha1", kind: "FabricNode", metadata: { name: "ghost" } };
  await stage.apply({
    ...node,
    spec: { nodeId: "00000000-0000-4000-8000-000000000000", fingerprint: "0".repeat(64) },
  });
  const ghost = await eventually("the ghost is marked", async () => {
    const read = await stage.get<FabricNode>("fn", "ghost");
    return conditionOf(read, "Ready") !== undefined && read;
  });
  expect(conditionOf(ghost, "Ready")?.reason).toBe("NotEnrolled");
  await stage.kubectl("delete", "fn", "ghost", "--timeout=10s");
}, 60_000);

it("revokes and removes a node, and frees its name", async () => {
  await stage.kubectl(
    "patch",
    "fn",
    "home-a",
    "--type=merge",
    "-p",
    '{"spec":{"revoked":{"reason":"stolen"}}}',
  );
  const revoked = await eventually("the node is revoked", async () => {
    const read = await stage.get<FabricNode>("fn", "home-a");
    return conditionOf(read, "Ready")?.reason === "Revoked" && read;
  });
  expect(revoked.status?.conditions?.find(({ type }) => type === "Ready")?.message).toBe("stolen");
  await stage.kubectl("delete", "fn", "home-a", "--timeout=20s");
  expect(await stage.get("fn", "home-a")).toBeUndefined();
  const gone = async (): Promise<boolean> => (await stage.get("ra", "home-a-relay")) === undefined;
  // The garbage collector learns of a new kind within half a minute.
  await eventually("its role went with it", gone, 60_000);
}, 90_000);

it("forgets a deleted token before its object goes", async () => {
  const token = await activeToken("fourth");
  await stage.kubectl("delete", "jointoken", "fourth", "--timeout=20s");
  const late = createJoiner(stage.ports.enrolment, "late");
  expect(await late.ask(token)).toMatchObject({ status: 401, body: { code: "TOKEN_UNKNOWN" } });
}, 60_000);

it("tells the story as events", async () => {
  const events = await stage.kubectl("get", "events", "-o", "jsonpath={range .items[*]}{.reason} {end}");
  for (const reason of ["AuthorityTaken", "AwaitingDecision", "Approved", "Denied", "Revoked"])
    expect(events.split(" ")).toContain(reason);
});

it("ends cleanly when asked", async () => {
  expect(await operator.stop()).toBe(0);
  const lease = await stage.kubectl(
    "get",
    "lease",
    "fabric-operator",
    "-o",
    "jsonpath={.spec.holderIdentity}",
  );
  expect(lease).toBe("");
}, 30_000);
