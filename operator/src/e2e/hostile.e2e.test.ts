/** What people with some rights, and members with bad intentions, try: nothing is gained, nothing is lost, and it is said what is wrong. */
import type { Cluster, FabricNode, JoinRequest, JoinToken, RoleAssignment } from "@saf/crds";
import { createJoiner, makeToken, type Joiner } from "./joiner.ts";
import { buildStage, clusterOf, eventually, NAMESPACE, type RunningOperator, type Stage } from "./stage.ts";
import { reasonOf, type Conditioned } from "./ready-reason.ts";

let stage: Stage;
let operator: RunningOperator;
let token: string;
let pin: string;

const patch = (user: string, target: string, change: object, ...more: string[]): Promise<string> =>
  stage.kubectlAs(user, "patch", target, "--type=merge", "-p", JSON.stringify(change), ...more);

const approve = (user: string, name: string): Promise<string> =>
  patch(user, `jr/${name}`, { spec: { approvals: [{ user, decision: "Approve" }] } });

const reads = <T extends Conditioned>(
  kind: string,
  name: string,
  reason: string,
  timeoutMs?: number,
): Promise<T> =>
  eventually(
    `${kind}/${name} is ${reason}`,
    async () => {
      const read = await stage.get<T>(kind, name);
      return reasonOf(read) === reason && read;
    },
    timeoutMs,
  );

async function asking(name: string): Promise<Joiner> {
  const joiner = createJoiner(stage.ports.enrolment, name);
  expect(await joiner.ask(token)).toMatchObject({ status: 202 });
  await reads("jr", joiner.requestId, "AwaitingDecision");
  return joiner;
}

async function activeToken(id: string, spec: object = {}): Promise<{ token: string; object: object }> {
  const made = makeToken(id, pin, spec);
  await stage.apply(made.object);
  await reads<JoinToken>("jt", id, "Active");
  return made;
}

beforeAll(async () => {
  stage = await buildStage();
  // Alice may do everything with the fabric's objects, statuses too; what she may not is be somebody else.
  await stage.kubectl("create", "role", "fabric-admin", "--verb=*", "--resource=*.fabric.saf.dev");
  await stage.kubectl("create", "rolebinding", "alice", "--role=fabric-admin", "--user=alice");
  await stage.kubectl(
    "create",
    "role",
    "fabric-status",
    "--verb=*",
    "--resource=joinrequests.fabric.saf.dev/status",
  );
  await stage.kubectl("create", "rolebinding", "alice-status", "--role=fabric-status", "--user=alice");
  operator = await stage.startOperator({ holder: "first", ledger: "one" });
  // Five addresses to give: 100.96.0.2 to .6.
  await stage.apply(clusterOf(stage, { addressPools: { ipv4: "100.96.0.0/29", ipv6: "fd5a::/64" } }));
  const cluster = await reads<Cluster>("cluster", "stage", "Ruled");
  pin = cluster.status?.authority?.caPin ?? "";
  ({ token } = await activeToken("all", { maxUses: 100 }));
}, 60_000);

afterAll(async () => {
  if (process.env["SHOW_LOG"]) console.log(operator?.log());
  await stage?.end();
}, 60_000);

it("lets nobody speak for admin, by no verb and no spelling", async () => {
  const { requestId } = await asking("forged");
  const target = `jr/${requestId}`;
  const entry = (user: string) => ({ user, decision: "Approve" });
  const json = (operations: object[]) =>
    stage.kubectlAs("alice", "patch", target, "--type=json", "-p", JSON.stringify(operations));
  const shown = (await stage.get<JoinRequest>("jr", requestId)) as JoinRequest;
  const spoken = { ...shown, spec: { ...shown.spec, approvals: [entry("admin")] } };
  const tries: readonly (readonly [string, () => Promise<string>])[] = [
    ["merge", () => patch("alice", target, { spec: { approvals: [entry("admin")] } })],
    [
      "beside her own",
      () => patch("alice", target, { spec: { approvals: [entry("alice"), entry("admin")] } }),
    ],
    ["json add", () => json([{ op: "add", path: "/spec/approvals", value: [entry("admin")] }])],
    ["other case", () => patch("alice", target, { spec: { approvals: [entry("Alice")] } })],
    ["white space", () => patch("alice", target, { spec: { approvals: [entry("alice ")] } })],
    ["another alphabet", () => patch("alice", target, { spec: { approvals: [entry("аdmin")] } })],
    ["no name", () => patch("alice", target, { spec: { approvals: [entry("")] } })],
    [
      "impersonation",
      () =>
        stage.kubectlAs(
          "alice",
          "--as=admin",
          "patch",
          target,
          "--type=merge",
          "-p",
          JSON.stringify({ spec: { approvals: [entry("admin")] } }),
        ),
    ],
    [
      "server-side apply",
      () =>
        stage.applyAs(
          "alice",
          { ...spoken, metadata: { name: requestId } },
          "--server-side",
          "--force-conflicts",
        ),
    ],
    [
      "as the operator's field manager",
      () =>
        stage.applyAs(
          "alice",
          { ...spoken, metadata: { name: requestId } },
          "--server-side",
          "--force-conflicts",
          "--field-manager=fabric-operator",
        ),
    ],
    ["replace", () => stage.inputAs("alice", spoken, "replace", "-f", "-")],
    [
      "delete and create",
      () =>
        stage.inputAs(
          "alice",
          { ...spoken, metadata: { name: "forged-again-00000000" } },
          "create",
          "-f",
          "-",
        ),
    ],
    ["scale", () => stage.kubectlAs("alice", "scale", target, "--replicas=3")],
  ];
  for (const [how, attempt] of tries)
    await expect(attempt().then(() => how)).rejects.toThrow(
      /only by its own user|invalid|cannot impersonate|not find|NotFound|forbidden|should be at least 1/i,
    );
  const after = await stage.get<JoinRequest>("jr", requestId);
  expect(after?.spec.approvals ?? []).toEqual([]);
  expect(reasonOf(after)).toBe("AwaitingDecision");
}, 90_000);

it("undoes a decision that was only written into a status, and lets the right people decide", async () => {
  const joiner = await asking("written");
  const { requestId } = joiner;
  const lie = { decision: "Approved", decidedBy: "admin", nodeId: "00000000-0000-4000-8000-000000000000" };
  await patch("alice", `jr/${requestId}`, { status: lie }, "--subresource=status");
  await eventually("the lie is gone", async () => {
    const { status } = (await stage.get<JoinRequest>("jr", requestId)) ?? {};
    return status?.decision === "Pending";
  });
  expect(await joiner.poll()).toEqual({ state: "pending" });
  expect(await stage.get("fn", "written")).toBeUndefined();
  await patch("admin", `jr/${requestId}`, {
    spec: { approvals: [{ user: "admin", decision: "Deny", reason: "no" }] },
  });
  await reads("jr", requestId, "Denied");
  await patch("alice", `jr/${requestId}`, { status: lie }, "--subresource=status");
  await eventually("the denial is shown again", async () => {
    const { status } = (await stage.get<JoinRequest>("jr", requestId)) ?? {};
    return status?.decision === "Denied" && status.decidedBy === "admin" && status.nodeId === undefined;
  });
  expect(await joiner.poll()).toEqual({ state: "denied", reason: "no" });
}, 60_000);

it("does not ask again about a host that was denied, whoever deletes and makes what", async () => {
  const joiner = await asking("denied");
  const { requestId } = joiner;
  const before = (await stage.get<JoinRequest>("jr", requestId)) as JoinRequest;
  await patch("admin", `jr/${requestId}`, {
    spec: { approvals: [{ user: "admin", decision: "Deny", reason: "no" }] },
  });
  await reads("jr", requestId, "Denied");
  await stage.kubectlAs("alice", "delete", "jr", requestId);
  const again = {
    ...before,
    metadata: { name: requestId },
    spec: { ...before.spec, approvals: [{ user: "alice", decision: "Approve" }] },
  };
  await stage.inputAs("alice", { ...again, status: undefined }, "create", "-f", "-");
  const shown = await reads<JoinRequest>("jr", requestId, "Denied");
  expect(shown.status).toMatchObject({ decision: "Denied", decidedBy: "admin" });
  expect(await joiner.poll()).toEqual({ state: "denied", reason: "no" });
  expect(await joiner.ask(token)).toMatchObject({ status: 202, body: { requestId } });
  expect(await joiner.poll()).toEqual({ state: "denied", reason: "no" });
}, 60_000);

it("counts no answer to an object that shows something else than the host said", async () => {
  const joiner = await asking("honest");
  const { requestId } = joiner;
  const before = (await stage.get<JoinRequest>("jr", requestId)) as JoinRequest;
  await operator.stop();
  await stage.kubectl("delete", "jr", requestId);
  const nicer = { ...before.spec, facts: { ...before.spec.facts, hostname: "the-boss" } };
  await stage.inputAs(
    "alice",
    { ...before, metadata: { name: requestId }, spec: nicer, status: undefined },
    "create",
    "-f",
    "-",
  );
  await approve("admin", requestId);
  operator = await stage.startOperator({ holder: "second", ledger: "one" });
  await reads("jr", requestId, "SpecMismatch", 30_000);
  expect(await joiner.poll()).toEqual({ state: "pending" });
  await stage.kubectl("delete", "jr", requestId);
  // What the host really said comes back within a resync.
  await reads("jr", requestId, "AwaitingDecision", 45_000);
}, 120_000);

it("does not bring back a revoked token that is deleted and made again", async () => {
  const { token: leaked, object } = await activeToken("leaked");
  await patch("admin", "jt/leaked", { spec: { revoked: true } });
  await reads("jt", "leaked", "Revoked");
  await stage.kubectlAs("alice", "delete", "jt", "leaked", "--timeout=20s");
  await stage.applyAs("alice", object);
  await reads("jt", "leaked", "Revoked");
  const joiner = createJoiner(stage.ports.enrolment, "thief");
  expect(await joiner.ask(leaked)).toMatchObject({ body: { code: "TOKEN_REVOKED" } });
}, 60_000);

it("says what is in the way of an approved node, and goes on when it is gone", async () => {
  const joiner = await asking("squatted");
  const spec = { nodeId: "00000000-0000-4000-8000-000000000000", fingerprint: "0".repeat(64) };
  const squatter = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "FabricNode",
    metadata: { name: "squatted" },
    spec,
  };
  await stage.applyAs("alice", squatter);
  await reads("fn", "squatted", "NotEnrolled");
  await approve("admin", joiner.requestId);
  const stuck = await reads<JoinRequest>("jr", joiner.requestId, "ObjectInTheWay");
  expect(stuck.status).toMatchObject({ decision: "Approved", decidedBy: "admin" });
  await reads("fn", "squatted", "IdentityMismatch");
  await stage.kubectl("delete", "fn", "squatted", "--timeout=10s");
  const node = await reads<FabricNode>("fn", "squatted", "AwaitingNode", 45_000);
  expect(node.spec.fingerprint).toBe(joiner.fingerprint);
  await reads("jr", joiner.requestId, "Approved", 30_000);
}, 120_000);

it("never takes a revocation back", async () => {
  const joiner = await asking("lost");
  await approve("admin", joiner.requestId);
  const node = await reads<FabricNode>("fn", "lost", "AwaitingNode");
  await patch("admin", "fn/lost", { spec: { revoked: { reason: "lost on a train" } } });
  await reads("fn", "lost", "Revoked");
  const json = (operations: object[]) =>
    stage.kubectlAs("alice", "patch", "fn/lost", "--type=json", "-p", JSON.stringify(operations));
  const { nodeId, fingerprint } = node.spec;
  for (const attempt of [
    () => patch("alice", "fn/lost", { spec: { revoked: null } }),
    () => json([{ op: "remove", path: "/spec/revoked" }]),
    () => json([{ op: "replace", path: "/spec", value: { nodeId, fingerprint } }]),
    () => json([{ op: "replace", path: "/spec/nodeId", value: "00000000-0000-4000-8000-000000000000" }]),
    () => json([{ op: "replace", path: "/spec/fingerprint", value: "0".repeat(64) }]),
    () => json([{ op: "remove", path: "/spec" }]),
  ])
    await expect(attempt()).rejects.toThrow(/cannot be|Required value/);
  // Past the finalizer, and made again by hand at once.
  await patch("alice", "fn/lost", { metadata: { finalizers: null } });
  await stage.kubectlAs("alice", "delete", "fn", "lost", "--wait=false");
  const object = { apiVersion: "fabric.saf.dev/v1alpha1", kind: "FabricNode", metadata: { name: "lost" } };
  await stage.applyAs("alice", { ...object, spec: { nodeId, fingerprint } }).catch(() => undefined);
  await eventually("it is shown revoked or gone", async () => {
    const read = await stage.get<FabricNode>("fn", "lost");
    return !read || reasonOf(read) === "Revoked" || reasonOf(read) === "NotEnrolled";
  });
  expect(await joiner.poll()).toMatchObject({ state: "denied" });
  await stage.kubectl("delete", "fn", "lost", "--ignore-not-found", "--timeout=20s");
  expect(await joiner.ask(token)).toMatchObject({ body: { code: "REVOKED" } });
}, 90_000);

it("keeps a request that finds no address, and admits it when one is free", async () => {
  const taken: string[] = [];
  let last: Joiner | undefined;
  for (let i = 1; i <= 6 && !last; i += 1) {
    const joiner = await asking(`full-${i}`);
    await approve("admin", joiner.requestId);
    const read = await eventually("it is decided or stuck", async () => {
      const request = await stage.get<JoinRequest>("jr", joiner.requestId);
      return reasonOf(request) !== "AwaitingDecision" && request;
    });
    if (reasonOf(read) === "AddressPoolExhausted") last = joiner;
    else taken.push(joiner.nodeName);
  }
  if (!last) throw new Error("six nodes were given addresses of a pool of five");
  expect((await stage.get<JoinRequest>("jr", last.requestId))?.status?.decision).toBe("Pending");
  expect(await last.poll()).toEqual({ state: "pending" });
  const waiting = last.poll(25);
  await eventually("it has its node", () => stage.get("fn", taken[0] ?? ""));
  const freed = (await stage.get<FabricNode>("fn", taken[0] ?? ""))?.status?.addresses?.ipv4;
  await stage.kubectl("delete", "fn", taken[0] ?? "", "--timeout=20s");
  expect(await waiting).toMatchObject({ state: "approved" });
  const node = await eventually("the node appears", () => stage.get<FabricNode>("fn", last.nodeName));
  const shown = await eventually("with its address", async () => {
    const read = await stage.get<FabricNode>("fn", node.metadata.name);
    return read?.status?.addresses?.ipv4;
  });
  expect(shown).toBe(freed);
  await reads("jr", last.requestId, "Approved");
}, 120_000);

it("gives roles for exactly as long as it was told", async () => {
  const name = (await stage.kubectl("get", "fn", "-o", "jsonpath={.items[0].metadata.name}")).trim();
  const beginsAt = new Date(Date.now() + 3_000);
  const endsAt = new Date(Date.now() + 7_000);
  await stage.apply({
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "RoleAssignment",
    metadata: { name: "for-a-while" },
    spec: {
      role: "relay",
      nodeName: name,
      notBefore: beginsAt.toISOString(),
      expiresAt: endsAt.toISOString(),
    },
  });
  const roles = async () => (await stage.get<FabricNode>("fn", name))?.status?.roles;
  expect(await roles()).toEqual([]);
  await reads<RoleAssignment>("ra", "for-a-while", "Pending", 2_500);
  await eventually("it begins", async () => (await roles())?.includes("relay"), 6_000);
  expect(Date.now()).toBeGreaterThanOrEqual(beginsAt.getTime());
  await reads("ra", "for-a-while", "InForce", 3_000);
  await eventually("it ends", async () => (await roles())?.length === 0, 8_000);
  expect(Date.now()).toBeGreaterThanOrEqual(endsAt.getTime());
  await reads("ra", "for-a-while", "Expired", 3_000);
}, 60_000);

it("never needed a right that it does not have, and let out no secret", async () => {
  const log = operator.log();
  expect(log).not.toMatch(/FORBIDDEN|forbidden: User/);
  const secret = token.split(".")[2] ?? "";
  expect(secret).toHaveLength(43);
  const everything = await stage.kubectl("get", "fabric,events,leases,configmaps", "-o", "yaml");
  const keys = Object.values(
    (
      JSON.parse(await stage.kubectl("get", "secret", "fabric-authority", "-o", "json")) as {
        data: Record<string, string>;
      }
    ).data,
  )
    .map((value) => Buffer.from(value, "base64").toString())
    .filter((text) => text.includes("PRIVATE KEY"))
    .map((pem) => pem.split("\n")[1] ?? "");
  expect(keys).toHaveLength(3);
  for (const text of [log, everything])
    for (const hidden of [secret, ...keys]) expect(text).not.toContain(hidden);
});

it("lets go of everything when its namespace is deleted", async () => {
  await stage.kubectl("delete", "fabricnodes,jointokens", "--all", "--timeout=30s");
  await stage.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s");
}, 120_000);
