/**
 * Members in session: documents out, heartbeats in, and what people see of it. Two nodes on loopback, each with a real engine, and the
 * operator with its own; between them real QUIC with mutual TLS.
 */
import type { Cluster, FabricNode, RoleAssignment } from "@saf/crds";
import { X509Certificate } from "node:crypto";
import { readOpenMetrics } from "@saf/telemetry/testing";
import { createJoiner, makeToken } from "./joiner.ts";
import { buildStage, clusterOf, eventually, type Engine, type RunningOperator, type Stage } from "./stage.ts";
import { csrOf, enrolNode, type TestNode } from "./test-node.ts";

let stage: Stage;
let operator: RunningOperator;
let engine: Engine;
let a: TestNode;
let b: TestNode;
let token: string;

interface Conditioned {
  readonly status?:
    | {
        readonly conditions?:
          | readonly {
              readonly type: string;
              readonly status: string;
              readonly reason: string;
              readonly message: string;
            }[]
          | undefined;
      }
    | undefined;
}

const condition = (object: Conditioned | undefined, type: string) =>
  object?.status?.conditions?.find((candidate) => candidate.type === type);

const nodeIs = (name: string, reason: string, timeoutMs?: number): Promise<FabricNode> =>
  eventually(
    `${name} is ${reason}`,
    async () => {
      const node = await stage.get<FabricNode>("fn", name);
      return condition(node, "Ready")?.reason === reason && node;
    },
    timeoutMs,
  );

const startEngine = () =>
  stage.startEngine("operator", { port: stage.ports.control, keyFile: `${stage.dir}/control/control.key` });

beforeAll(async () => {
  stage = await buildStage();
  engine = await startEngine();
  operator = await stage.startOperator({ holder: "first", ledger: "one" });
  await stage.apply(clusterOf(stage));
  const cluster = await eventually("the Cluster is ruled", async () => {
    const read = await stage.get<Cluster>("cluster", "stage");
    return condition(read, "Ready")?.status === "True" && read;
  });
  const made = makeToken("all", cluster.status?.authority?.caPin ?? "");
  ({ token } = made);
  await stage.apply(made.object);
  await eventually(
    "the token is active",
    async () => condition(await stage.get("jt", "all"), "Ready")?.reason === "Active",
  );
  a = await enrolNode(stage, token, "node-a");
  b = await enrolNode(stage, token, "node-b");
}, 90_000);

afterAll(async () => {
  if (process.env["SHOW_LOG"]) console.log(operator?.log());
  await a?.stop();
  await b?.stop();
  await stage?.end();
}, 60_000);

it("signs for each node what it needs, and shows what it confirmed", async () => {
  await eventually("both are in session", async () => (await a.connected()) && (await b.connected()));
  await a.beat();
  await b.beat();
  const snapshot = await a.until("b is its peer and has an address", ({ body }) =>
    body.peers.some(({ nodeName, candidates }) => nodeName === "node-b" && candidates.length > 0),
  );
  expect(snapshot.body).toMatchObject({ nodeId: a.nodeId, nodeName: "node-a", roles: [], mtu: 1280 });
  expect(snapshot.body.peers[0]?.candidates).toEqual([
    { endpoint: "192.168.7.7:7443", kind: "private" },
    { endpoint: `198.51.100.7:${b.port}`, kind: "host" },
  ]);
  await b.until("the same epoch", ({ epoch }) => epoch >= snapshot.epoch);
  await a.until("the newest", ({ epoch }) => epoch >= (b.newest()?.epoch ?? 0));
  const node = await nodeIs("node-a", "Connected");
  expect(node.status).toMatchObject({
    version: "0.1.0",
    natGroup: "127.0.0.1",
    peers: { direct: 1, known: 1 },
  });
  expect(node.status?.snapshot?.epoch).toBe(a.newest()?.epoch);
  await stage.kubectl("wait", "--for=condition=Ready", "fn/node-a", "--timeout=10s");
  const described = await eventually("describe tells the story", async () => {
    const text = await stage.kubectl("describe", "fn", "node-a");
    return /Events:[^]*Normal\s+Connected/.test(text) && text;
  });
  expect(described).toMatch(/Normal\s+AwaitingNode[^]*fabric-operator/);
  const cluster = await eventually("both confirmed", async () => {
    const read = await stage.get<Cluster>("cluster", "stage");
    return read?.status?.nodes?.confirmed === 2 && read;
  });
  expect(cluster.status?.nodes).toEqual({ approved: 2, connected: 2, confirmed: 2 });
}, 60_000);

it("tells probes that it rules, and Prometheus what it does", async () => {
  const base = `http://127.0.0.1:${operator.telemetryPort}`;
  const ready = await fetch(`${base}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([200, { ok: true, state: "ruling", reason: null }]);
  expect((await fetch(`${base}/livez`)).status).toBe(200);
  const text = await (await fetch(`${base}/metrics`)).text();
  const families = readOpenMetrics(text);
  const value = (name: string, labels: object = {}): number =>
    (families.get(name)?.samples ?? [])
      .filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted))
      .reduce((sum, sample) => sum + sample.value, 0);
  expect(value("fabric_operator_ruling")).toBe(1);
  expect(value("fabric_operator_nodes", { state: "connected" })).toBe(2);
  expect(value("fabric_operator_enrolment_requests", { call: "join", code: "OK" })).toBe(2);
  expect(value("fabric_operator_control_session_events", { event: "ready" })).toBeGreaterThanOrEqual(2);
  expect(value("fabric_operator_control_messages", { kind: "heartbeat", outcome: "taken" })).toBeGreaterThan(
    1,
  );
  for (const [name, labels] of [
    ["fabric_operator_api_requests", { verb: "patch", resource: "fabricnodes", code: "OK" }],
    ["fabric_operator_api_requests", { verb: "update", resource: "leases" }],
    ["fabric_operator_reconciles", { controller: "fabric-node", outcome: "done" }],
    ["fabric_operator_ledger_calls", { operation: "advanceEpoch", code: "OK" }],
    ["fabric_operator_ca_expiry_timestamp_seconds", {}],
  ] as const)
    expect({ name, labels, counted: value(name, labels) > 0 }).toEqual({ name, labels, counted: true });
  for (const named of ["node-a", a.nodeId, "127.0.0.1", "192.168.7.7"]) expect(text).not.toContain(named);
});

it("tells a node under which session, and where, it sees it", async () => {
  const ack = await eventually("an answer", () => a.answers.findLast(({ kind }) => kind === "heartbeat-ack"));
  if (ack.kind !== "heartbeat-ack") throw new Error("not an answer");
  expect(ack.body.observed).toBe(`127.0.0.1:${a.port}`);
  expect(operator.log()).toContain(`"session":"${ack.body.session}"`);
});

it("answers heartbeats", async () => {
  await a.beat({ sequence: 4711 });
  await eventually("the answer", () =>
    a.answers.some((answer) => answer.kind === "heartbeat-ack" && answer.body.sequence === 4711),
  );
});

it("brings a role to its node within a second, and takes it back as fast", async () => {
  const begun = Date.now();
  await stage.apply({
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "RoleAssignment",
    metadata: { name: "a-relays" },
    spec: { role: "relay", nodeName: "node-a" },
  });
  const applied = Date.now();
  await a.until("the role", ({ body }) => body.roles.includes("relay"), 5_000);
  // kubectl's own start is not the operator's time.
  expect(Date.now() - applied).toBeLessThan(1_000);
  expect(applied - begun).toBeLessThan(10_000);
  const assignment = await eventually("it is propagated", async () => {
    const read = await stage.get<RoleAssignment>("ra", "a-relays");
    return condition(read, "Propagated")?.status === "True" && read;
  });
  expect(assignment.status).toMatchObject({ nodes: 1, epoch: a.newest()?.epoch });
  await stage.kubectl("delete", "ra", "a-relays");
  await a.until("the role is gone", ({ body }) => !body.roles.includes("relay"), 1_000);
}, 30_000);

it("renews certificates for the same key only", async () => {
  await a.send({ kind: "renew", body: { csr: await csrOf(a.joiner) } });
  const renewed = await eventually("the certificate", () => a.answers.find(({ kind }) => kind === "renewed"));
  const leaf = new X509Certificate(
    renewed.kind === "renewed" ? (renewed.body.certificateChain[0] ?? "") : "",
  );
  expect(leaf.subjectAltName).toBe(`URI:spiffe://stage.example/node/${a.nodeId}`);
  expect(leaf.serialNumber).not.toBe(new X509Certificate(a.chain[0] ?? "").serialNumber);
  await b.send({ kind: "renew", body: { csr: await csrOf(createJoiner(0, "node-b")) } });
  const refused = await eventually("the refusal", () => b.answers.find(({ kind }) => kind === "refused"));
  expect(refused.body).toMatchObject({ code: "CSR_KEY_MISMATCH" });
}, 30_000);

it("refuses what is no message", async () => {
  const refusals = () => a.answers.filter(({ kind }) => kind === "refused").length;
  const before = refusals();
  await a.send({ kind: "renew", body: { csr: 7 } } as never);
  await eventually("the refusal", () => refusals() > before);
});

it("comes back after its own engine was killed", async () => {
  engine.process.kill("SIGKILL");
  await eventually("the engine is gone", () => engine.process.signalCode !== null);
  engine = await startEngine();
  await eventually("node-a is in session again", () => a.connected(), 15_000);
  await eventually("node-b is in session again", () => b.connected(), 15_000);
  await a.beat();
  await b.beat();
  await nodeIs("node-a", "Connected");
}, 60_000);

it("comes back after being killed itself, with everything as it was", async () => {
  const { term = 0 } = (await stage.get<Cluster>("cluster", "stage"))?.status?.authority ?? {};
  const before = a.newest();
  await operator.kill();
  operator = await stage.startOperator({ holder: "second", ledger: "one" });
  const same = JSON.stringify(before?.body.peers);
  await a.until(
    "a snapshot of the new term with the same peers",
    ({ term: signed, body }) => signed === term + 1 && JSON.stringify(body.peers) === same,
    30_000,
  );
  await b.until("a snapshot of the new term", ({ term: signed }) => signed === term + 1);
  await nodeIs("node-a", "Connected");
  const requests = await stage.kubectl("get", "jr", "-o", "name");
  expect(requests.trim().split("\n")).toHaveLength(2);
}, 90_000);

it("lists nodes by their folders, and gives a role by a label of the owner's own", async () => {
  const patch = (change: object) =>
    stage.kubectl("patch", "fn", "node-a", "--type=merge", "-p", JSON.stringify(change));
  const inFolder = async (folder: string) =>
    (await stage.kubectl("get", "fn", "-l", `groups.fabric.saf.dev/${folder}`, "-o", "name")).trim();
  await patch({ spec: { groups: ["site/berlin/rack-7"] } });
  await eventually("it is in the folder", async () => (await inFolder("site.berlin.rack-7")) !== "");
  expect(await inFolder("site")).toBe("fabricnode.fabric.saf.dev/node-a");
  expect(await inFolder("site.berlin")).toBe("fabricnode.fabric.saf.dev/node-a");
  await patch({ spec: { groups: ["site/paris"] } });
  await eventually("it has moved", async () => (await inFolder("site.berlin")) === "");
  expect(await inFolder("site.paris")).toContain("node-a");

  await patch({ metadata: { labels: { tier: "relays" } } });
  await stage.apply({
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "RoleAssignment",
    metadata: { name: "relays" },
    spec: {
      role: "relay",
      nodeSelector: { matchLabels: { tier: "relays" } },
      expiresAt: new Date(Date.now() + 8_000).toISOString(),
    },
  });
  await a.until("the role", ({ body }) => body.roles.includes("relay"), 5_000);
  await eventually("it is propagated", async () => {
    const read = await stage.get<RoleAssignment>("ra", "relays");
    return condition(read, "Propagated")?.status === "True" && read?.status?.nodes === 1;
  });
  await stage.kubectl("wait", "--for=condition=Propagated", "ra/relays", "--timeout=5s");
  await a.until("its time is over", ({ body }) => !body.roles.includes("relay"), 15_000);
  await eventually("that is shown", async () => {
    return condition(await stage.get<RoleAssignment>("ra", "relays"), "Ready")?.reason === "Expired";
  });
  await stage.kubectl("delete", "ra", "relays");
}, 60_000);

it("suspends a node and takes it back", async () => {
  await stage.kubectl("patch", "fn", "node-b", "--type=merge", "-p", '{"spec":{"suspended":true}}');
  await a.until("b is no peer", ({ body }) => body.peers.length === 0, 5_000);
  await b.until("it has no peer", ({ body }) => body.peers.length === 0, 5_000);
  await nodeIs("node-b", "Suspended");
  await stage.kubectl("patch", "fn", "node-b", "--type=merge", "-p", '{"spec":{"suspended":false}}');
  await a.until("b is a peer again", ({ body }) => body.peers.length === 1, 5_000);
}, 30_000);

it("revokes a node everywhere within two seconds, and says why", async () => {
  await stage.kubectl(
    "patch",
    "fn",
    "node-b",
    "--type=merge",
    "-p",
    '{"spec":{"revoked":{"reason":"lost on a train"}}}',
  );
  const revokedMs = Date.now();
  const snapshot = await a.until("b is revoked", ({ body }) => body.revoked.length === 1, 2_000);
  expect(snapshot.body.revoked).toEqual([
    { nodeId: b.nodeId, fingerprint: b.joiner.fingerprint, reason: "lost on a train" },
  ]);
  expect(snapshot.body.peers).toEqual([]);
  await eventually("b's session is closed", async () => !(await b.connected()), 2_000);
  expect(Date.now() - revokedMs).toBeLessThan(2_500);
  expect(b.closings.at(-1)).toBe("REVOKED");
  const node = await nodeIs("node-b", "Revoked");
  expect(condition(node, "Ready")?.message).toBe("lost on a train");
  expect(condition(node, "IdentityValid")?.status).toBe("False");
}, 30_000);

describe("a node whose FabricNode is deleted", () => {
  const gone = (name: string) =>
    eventually(`${name} is gone`, async () => (await stage.get("fn", name)) === undefined);
  const ipv4Of = async (name: string) =>
    eventually(
      `${name} has an address`,
      async () => (await stage.get<FabricNode>("fn", name))?.status?.addresses?.ipv4,
    );

  it("is told first, then refused by all, and its address goes to nobody before they all know", async () => {
    const c = await enrolNode(stage, token, "node-c");
    await eventually("it is in session", () => c.connected());
    await c.beat();
    await a.until("c is a peer", ({ body }) => body.peers.some(({ nodeName }) => nodeName === "node-c"));
    const address = await ipv4Of("node-c");
    await stage.kubectl("delete", "fn", "node-c", "--wait=false");
    const told = await eventually("it is told", () => c.answers.find(({ kind }) => kind === "refused"));
    expect(told.body).toMatchObject({ code: "REVOKED", message: "its FabricNode was deleted" });
    // It has time to leave; this one does not use it.
    expect(a.newest()?.body.peers.map(({ nodeName }) => nodeName)).toContain("node-c");
    const known = await eventually("its peers are told", () => {
      const newest = a.newest();
      return newest?.body.revoked.some(({ nodeId }) => nodeId === c.nodeId) && newest;
    });
    expect(known.body.peers.map(({ nodeName }) => nodeName)).not.toContain("node-c");
    await eventually("its session is cut", async () => !(await c.connected()), 2_000);
    // Node a has not confirmed that yet.
    expect(condition(await stage.get<FabricNode>("fn", "node-c"), "Ready")?.reason).toBe("Leaving");
    await a.beat();
    await gone("node-c");
    const events = await stage.kubectl("get", "events", "--field-selector=involvedObject.name=node-c");
    for (const reason of ["Leaving", "Left"]) expect(events).toContain(reason);
    await c.stop();

    // Still refused by name while its certificate is good, and another has its address now.
    const d = await enrolNode(stage, token, "node-d");
    expect(await ipv4Of("node-d")).toBe(address);
    const later = await a.until("d is a peer", ({ body }) => body.peers.some((p) => p.nodeName === "node-d"));
    expect(later.body.revoked.map(({ nodeId }) => nodeId)).toContain(c.nodeId);
    await d.stop();
  }, 60_000);

  it("that is gone already goes at once; its address waits for a member that is away", async () => {
    const address = await ipv4Of("node-d");
    const e = await enrolNode(stage, token, "node-e");
    await e.until("d is a peer", ({ body }) => body.peers.some(({ nodeName }) => nodeName === "node-d"));
    await e.stop();
    const begun = Date.now();
    await stage.kubectl("delete", "fn", "node-d", "--wait=false");
    await a.until("d is no peer", ({ body }) => body.peers.every(({ nodeName }) => nodeName !== "node-d"));
    await gone("node-d");
    expect(Date.now() - begun).toBeLessThan(10_000);

    const f = await enrolNode(stage, token, "node-f");
    expect(await ipv4Of("node-f")).not.toBe(address);
    await f.until("it has a snapshot", () => true);
    // With the one that was away out of the fabric, nobody can have an older snapshot.
    await stage.kubectl("delete", "fn", "node-e", "--wait=false");
    const without = ({ body }: { body: { revoked: { nodeId: string }[] } }) =>
      body.revoked.some(({ nodeId }) => nodeId === e.nodeId);
    await Promise.all([a.until("e is refused", without), f.until("e is refused", without)]);
    await gone("node-e");
    const g = await enrolNode(stage, token, "node-g");
    expect(await ipv4Of("node-g")).toBe(address);
    await Promise.all([f.stop(), g.stop()]);
  }, 90_000);
});

it("drops its sessions when it ends, so that nodes look elsewhere", async () => {
  expect(await operator.stop()).toBe(0);
  await eventually("node-a is out of session", async () => !(await a.connected()), 5_000);
}, 30_000);
