/** What proves a pod, and every way in which it does not. The words of a real API server: e2e/attestation.e2e.test.ts. */
import { LedgerError } from "../ledger/errors.ts";
import {
  createTestAttestor,
  createWorld,
  kubernetesNode,
  pod,
  policy,
  reviewed,
  type World,
} from "./testing/test-attestor.ts";

const asked = { nodeName: "worker-1-example", source: "127.0.0.1" };
const TOKEN = "good.pod.token";

const vouch = (world: World, changes: Partial<typeof asked> = {}) =>
  createTestAttestor(world).vouch(TOKEN, { ...asked, ...changes });

const extraWithout = (...names: string[]) =>
  Object.fromEntries(
    Object.entries(reviewed.user?.extra ?? {}).filter(([name]) => !names.some((end) => name.endsWith(end))),
  );
const says = (change: object, user: object = {}): Partial<World> => ({
  reviews: new Map([[TOKEN, { ...reviewed, ...change, user: { ...reviewed.user, ...user } }]]),
});
const podIs = (change: object): Partial<World> => ({
  pods: new Map([["fabric/agent-x7", { ...pod, ...change }]]),
});

it("a pod that the API server vouches for is known by it", async () => {
  const world = createWorld({ policies: [{ ...policy, allowedRoles: ["relay"] }] });
  expect(await vouch(world)).toEqual({
    namespace: "fabric",
    name: "agent-x7",
    uid: "pod-uid-1",
    serviceAccount: "fabric-agent",
    audience: "fabric-enrolment",
    node: "worker-1.example",
    source: "127.0.0.1",
    fromNode: true,
    allowedRoles: ["relay"],
  });
  expect(world.calls).toEqual([
    "create tokenreviews fabric-enrolment",
    "get pods agent-x7",
    "get nodes worker-1.example",
  ]);
  expect([world.events, world.audit]).toEqual([[], []]);
});

it.each(["127.0.0.1", "2001:db8::1", "2001:db8:0:0::1", "10.244.1.1", "fd00:1::99"])(
  "a request may come from %s: of its Node, or of that Node's pod range",
  async (source) => {
    expect(await vouch(createWorld(), { source })).toMatchObject({ fromNode: true, source });
  },
);

it("asks for the audiences of every entry, and lets in by the one that fits", async () => {
  const other = { ...policy, audience: "elsewhere", allowedRoles: ["exit" as const] };
  const world = createWorld({ policies: [other, policy, { ...policy, name: "someone-else" }] });
  expect(await vouch(world)).toMatchObject({ audience: "fabric-enrolment", allowedRoles: [] });
  expect(world.calls[0]).toBe("create tokenreviews elsewhere,fabric-enrolment");
});

it("an API server that does not say the Node leaves it to the pod", async () => {
  expect(await vouch(createWorld(says({}, { extra: extraWithout("node-name") })))).toMatchObject({
    node: "worker-1.example",
  });
});

it.each<[string, string, Partial<World>, Partial<typeof asked>?]>([
  ["a token that nobody issued", "SERVICE_ACCOUNT_TOKEN_REFUSED", { reviews: new Map() }],
  [
    "a token that is not accepted",
    "SERVICE_ACCOUNT_TOKEN_REFUSED",
    says({ authenticated: false, error: "service account token has been invalidated" }),
  ],
  ["a person's token", "SERVICE_ACCOUNT_TOKEN_REFUSED", says({}, { username: "alice" })],
  [
    "another account",
    "SERVICE_ACCOUNT_NOT_ALLOWED",
    says({}, { username: "system:serviceaccount:fabric:default" }),
  ],
  [
    "an account of the same name elsewhere",
    "SERVICE_ACCOUNT_NOT_ALLOWED",
    says({}, { username: "system:serviceaccount:tenant:fabric-agent" }),
  ],
  ["another entry's audience", "SERVICE_ACCOUNT_NOT_ALLOWED", says({ audiences: ["else"] })],
  ["no audience", "SERVICE_ACCOUNT_NOT_ALLOWED", says({ audiences: [] })],
  ["a token made by hand", "POD_UNPROVED", says({}, { extra: {} })],
  ["a token without the pod's UID", "POD_UNPROVED", says({}, { extra: extraWithout("pod-uid") })],
  ["a pod that is gone", "POD_ENDED", { pods: new Map() }],
  ["a pod that is going", "POD_ENDED", podIs({ metadata: { ...pod.metadata, deletionTimestamp: "now" } })],
  ["a pod that failed", "POD_ENDED", podIs({ status: { phase: "Failed" } })],
  ["a pod that is done", "POD_ENDED", podIs({ status: { phase: "Succeeded" } })],
  ["a new pod of the same name", "POD_ENDED", podIs({ metadata: { name: "agent-x7", uid: "pod-uid-2" } })],
  ["a pod on another Node", "POD_UNPROVED", podIs({ spec: { ...pod.spec, nodeName: "worker-2" } })],
  ["a pod on no Node", "POD_UNPROVED", podIs({ spec: { serviceAccountName: "fabric-agent" } })],
  ["a pod of another account", "POD_UNPROVED", podIs({ spec: { ...pod.spec, serviceAccountName: "x" } })],
  ["another node's name", "NODE_NAME_MISMATCH", {}, { nodeName: "worker-2-example" }],
  ["another Node's address", "SOURCE_NOT_NODE", {}, { source: "127.0.0.2" }],
  ["another Node's pod range", "SOURCE_NOT_NODE", {}, { source: "10.244.2.1" }],
  ["no address at all", "SOURCE_NOT_NODE", {}, { source: "unknown" }],
  ["a Node that is gone", "SOURCE_NOT_NODE", { nodes: new Map() }],
])("%s is refused with %s", async (_what, code, changes, asks = {}) => {
  const world = createWorld(changes);
  await expect(vouch(world, asks)).rejects.toMatchObject({ code });
});

it("nonsense in a Node's status proves nothing and breaks nothing", async () => {
  const addresses = ["fe80::1%eth0", "::1::", "127.0.0.1"].map((address) => ({
    type: "InternalIP",
    address,
  }));
  const odd = { ...kubernetesNode, spec: { podCIDRs: ["all", "fe80::/x"] }, status: { addresses } };
  const world = createWorld({ nodes: new Map([["worker-1.example", odd]]) });
  expect(await vouch(world)).toMatchObject({ fromNode: true });
  await expect(vouch(world, { source: "fe80::1" })).rejects.toMatchObject({ code: "SOURCE_NOT_NODE" });
});

it("a Node whose name makes no node name is refused with that", async () => {
  const name = `${"n".repeat(64)}.example`;
  const world = createWorld({
    ...podIs({ spec: { ...pod.spec, nodeName: name } }),
    ...says({}, { extra: extraWithout("node-name") }),
    nodes: new Map([[name, kubernetesNode]]),
  });
  await expect(vouch(world)).rejects.toMatchObject({ code: "NODE_NAME_MISMATCH" });
});

it("where the Cluster says so, a request may come from anywhere, and that is kept", async () => {
  const world = createWorld({ policies: [{ ...policy, sourceAddress: "Any" }], nodes: new Map() });
  expect(await vouch(world, { source: "203.0.113.9" })).toMatchObject({ fromNode: false });
});

it("no entry: nobody is asked", () => {
  const world = createWorld({ policies: [] });
  expect(() => createTestAttestor(world).requireOn()).toThrow(
    expect.objectContaining({ code: "SERVICE_ACCOUNTS_OFF" }),
  );
  expect(world.calls).toEqual([]);
});

it("an API server that is away is no verdict, and a missing right is told by its verb", async () => {
  const world = createWorld({ failure: "UNAVAILABLE" });
  await expect(vouch(world)).rejects.toMatchObject({ code: "ATTESTATION_UNAVAILABLE" });
  expect(world.events).toEqual([]);
  world.failure = "FORBIDDEN";
  await expect(vouch(world)).rejects.toMatchObject({ code: "ATTESTATION_UNAVAILABLE" });
  expect(world.events).toMatchObject([
    { reason: "PermissionMissing", message: expect.stringContaining("create tokenreviews") },
  ]);
});

it("tokens that the API server must review are not reviewed without bound", async () => {
  const world = createWorld();
  const attestor = createTestAttestor(world);
  const tries = await Promise.allSettled(
    Array.from({ length: 250 }, () => attestor.vouch("made.up.token", asked)),
  );
  const codes = tries.map((outcome) =>
    outcome.status === "rejected" ? (outcome.reason as { code: string }).code : "",
  );
  expect(codes.filter((code) => code === "SERVICE_ACCOUNT_TOKEN_REFUSED")).toHaveLength(200);
  expect(codes.filter((code) => code === "RATE_LIMITED")).toHaveLength(50);
  await world.clock.advance(1_000);
  expect(await attestor.vouch(TOKEN, asked)).toBeDefined();
});

it("a pod that is turned away is told as an Event each time, and audited once", async () => {
  const world = createWorld();
  const attestor = createTestAttestor(world);
  for (let i = 0; i < 3; i += 1)
    await expect(attestor.vouch(TOKEN, { ...asked, source: "203.0.113.9" })).rejects.toThrow();
  expect(world.events.map(({ reason }) => reason)).toEqual(Array(3).fill("AttestationRefused"));
  const { uid, ...vouched } = await attestor.vouch(TOKEN, asked);
  await attestor.refused({ uid, ...vouched }, new LedgerError("POD_ALREADY_USED", "used"));
  await attestor.refused({ uid, ...vouched }, new LedgerError("LEDGER_UNAVAILABLE", "away"));
  expect(world.audit).toEqual([
    expect.objectContaining({
      actor: "serviceaccount/fabric/fabric-agent",
      action: "AttestationRefused",
      subject: "pod/fabric/agent-x7",
      detail: { code: "SOURCE_NOT_NODE", podUid: "pod-uid-1", source: "203.0.113.9" },
    }),
    expect.objectContaining({
      detail: { code: "POD_ALREADY_USED", podUid: "pod-uid-1", source: "127.0.0.1" },
    }),
  ]);
});

describe("without a person", () => {
  const auto = { ...policy, autoApprove: true };
  const decided = async (world: World) => {
    const attestor = createTestAttestor(world);
    const attested = await attestor.vouch(TOKEN, asked);
    return { attestor, attested };
  };
  it("goes a pod that the Cluster lets in", async () => {
    const { attestor, attested } = await decided(createWorld({ policies: [auto] }));
    expect(await attestor.autoApproves(attested, [])).toBe(true);
  });
  it.each<[string, (world: World) => void]>([
    ["by default", (world) => (world.policies = [policy])],
    ["for another audience", (world) => (world.policies = [{ ...auto, audience: "other" }])],
    ["for another account", (world) => (world.policies = [{ ...auto, name: "other" }])],
    ["once the entry is gone", (world) => (world.policies = [])],
    ["once the pod has ended", (world) => world.pods.clear()],
  ])("goes none %s", async (_what, change) => {
    const world = createWorld({ policies: [auto] });
    const { attestor, attested } = await decided(world);
    change(world);
    expect(await attestor.autoApproves(attested, [])).toBe(false);
  });
  it("goes none that asked for a role which the Cluster does not allow any more", async () => {
    const world = createWorld({ policies: [{ ...auto, allowedRoles: ["relay"] }] });
    const { attestor, attested } = await decided(world);
    expect(await attestor.autoApproves(attested, ["relay"])).toBe(true);
    world.policies = [auto];
    expect(await attestor.autoApproves(attested, ["relay"])).toBe(false);
    expect(await attestor.autoApproves(attested, [])).toBe(true);
  });
  it("goes none that was admitted from elsewhere, unless that is still allowed", async () => {
    const world = createWorld({ policies: [{ ...auto, sourceAddress: "Any" }] });
    const attestor = createTestAttestor(world);
    const attested = await attestor.vouch(TOKEN, { ...asked, source: "203.0.113.9" });
    expect(await attestor.autoApproves(attested, [])).toBe(true);
    world.policies = [auto];
    expect(await attestor.autoApproves(attested, [])).toBe(false);
  });
});
