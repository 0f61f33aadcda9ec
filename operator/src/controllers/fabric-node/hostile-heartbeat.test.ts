/** Whatever a member says of itself, its status can be decided and the API server takes it: a node must not freeze its own truth. */
import { fabricNodeKind, type FabricNode } from "@saf/crds";
import { encodeEnvelope, decodeEnvelope, EnvelopeError, fromAgent, type Heartbeat } from "@saf/protocol";
import fc from "fast-check";
import type { NodeFacts } from "../../control/fleet.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { fleetNode } from "../snapshot/gather.ts";
import { NOWHERE, placeNodes } from "../snapshot/place.ts";
import { decideNode } from "./decide.ts";

const NOW_MS = 1_800_000_000_000;
const POOLS = { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" };
const node: FabricNode = {
  apiVersion: "fabric.saf.dev/v1alpha1",
  kind: "FabricNode",
  metadata: { name: "home-a", generation: 2 },
  spec: { nodeId: "11111111-2222-4333-8444-555555555555", fingerprint: "a".repeat(64), suspended: false },
};
const identity: Identity = {
  nodeId: node.spec.nodeId,
  nodeName: "home-a",
  requestId: "home-a-aaaaaaaa",
  fingerprint: node.spec.fingerprint,
  addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
  area: null,
  status: "Active",
  reason: null,
  createdAt: 1,
  certificateNotAfter: NOW_MS / 1000 + 86_400,
};

const number = fc.oneof(
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 10_000, 10_001, 253_402_300_799, 253_402_300_800, Number.MAX_SAFE_INTEGER),
);
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 128 }),
  fc.constantFrom("\u001b[2J", "a\u0000b", "\ud800", "0.1.0\n", "x".repeat(128)),
);
const candidate = fc.oneof(
  fc.string({ unit: "binary", maxLength: 53 }),
  fc.tuple(fc.ipV4(), fc.nat(70_000)).map(([ip, port]) => `${ip}:${port}`),
  fc.tuple(fc.ipV6(), fc.nat(70_000)).map(([ip, port]) => `[${ip}]:${port}`),
  fc.constantFrom(
    "[::ffff:127.0.0.1]:22",
    "[fe80::1%eth0]:7443",
    "1.2.3.4:00080",
    "0x7f.1:1",
    "[::]:0",
    "10.0.0.1:0",
  ),
);
const heartbeat = fc.record({
  sequence: number,
  facts: fc.record({
    hostname: text,
    os: text,
    arch: text,
    kernel: text,
    cpus: fc.integer({ min: 1, max: 4096 }),
    memoryBytes: number,
    agentVersion: text,
  }),
  capabilities: fc.constant({ protocolVersions: ["saf/1"] as string[] }),
  candidates: fc.array(candidate, { maxLength: 16 }),
  applied: fc.option(fc.record({ term: number, epoch: number, issuedAt: number, expiresAt: number })),
  peers: fc.record({ known: number, direct: number }),
  degraded: fc.boolean(),
  certificateNotAfter: number,
});

/** As the operator takes it: what it does not accept has no effect. */
function received(said: Heartbeat): Heartbeat | undefined {
  const { kind, payload } = encodeEnvelope({ kind: "heartbeat", body: said });
  try {
    const envelope = decodeEnvelope(fromAgent, kind, payload);
    return envelope.kind === "heartbeat" ? envelope.body : undefined;
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined;
    throw error;
  }
}

function statusAfter(body: Heartbeat): FabricNode["status"] {
  const remote = "203.0.113.7:7443";
  const facts: NodeFacts = {
    session: { remote, sinceMs: NOW_MS },
    observed: remote,
    heartbeat: body,
    heartbeatAtMs: NOW_MS,
    candidates: body.candidates,
  };
  const places = placeNodes([fleetNode(identity, node, { facts: () => facts })], POOLS);
  const issued = { term: 3, epoch: 9, sinceMs: NOW_MS - 60_000 };
  const place = places.get(identity.nodeId) ?? NOWHERE;
  return decideNode({ node, identity, facts, roles: [], place, issued, reachability: "Mesh", nowMs: NOW_MS })
    .status;
}

it("is decided from any heartbeat that is accepted, within the schema's bounds", () => {
  fc.assert(
    fc.property(heartbeat, (said) => {
      const body = received(said);
      if (!body) return;
      const status = statusAfter(body);
      expect(() => fabricNodeKind.validate({ ...node, status })).not.toThrow();
      // oxlint-disable-next-line no-control-regex -- that is the point
      expect(JSON.stringify(status?.candidates ?? [])).not.toMatch(/%|ffff:127\.|0x/);
      expect(JSON.stringify(status?.version ?? "")).not.toMatch(/\\u00[01]|\\[nrtbf]/);
    }),
    { numRuns: 2_000 },
  );
});

const good: Heartbeat = {
  sequence: 1,
  facts: { hostname: "a", os: "l", arch: "x", kernel: "6", cpus: 2, memoryBytes: 1, agentVersion: "0.1.0" },
  capabilities: { protocolVersions: ["saf/1"] },
  candidates: ["192.168.1.5:7443", "[fd00::1]:7443"],
  applied: { term: 3, epoch: 9, issuedAt: 1_800_000_000, expiresAt: 1_800_003_600 },
  peers: { known: 4, direct: 4 },
  degraded: false,
  certificateNotAfter: 1_800_003_600,
};

it("accepts what honest agents say", () => {
  expect(received(good)).toEqual(good);
});

it.each<[string, Partial<Heartbeat>]>([
  ["more peers than a fabric has", { peers: { known: 10_001, direct: 0 } }],
  [
    "a time after the year 9999",
    { applied: { term: 1, epoch: 1, issuedAt: 1, expiresAt: Number.MAX_SAFE_INTEGER } },
  ],
  ["control characters in its version", { facts: { ...good.facts, agentVersion: "0.1\u001b[2J" } }],
  ["half a surrogate in its host name", { facts: { ...good.facts, hostname: "a\ud800" } }],
])("refuses %s", (_what, changes) => {
  expect(received({ ...good, ...changes })).toBeUndefined();
});

it.each([
  "[fe80::1%eth0]:7443",
  "[2001:db8::1%1]:7443",
  "[::ffff:127.0.0.1]:22",
  "[::ffff:7f00:1]:22",
  "[0:0:0:0:0:ffff:10.0.0.1]:53",
  "0x7f.1:1",
  "localhost:1",
  "192.168.1.5:0",
  "\u0000",
])("has no place for %j, and one for the others", (hostile) => {
  const body = received({ ...good, candidates: [hostile, "192.168.1.5:7443"] });
  expect(body && statusAfter(body)?.candidates).toEqual([
    { endpoint: "192.168.1.5:7443", kind: "private" },
    { endpoint: "203.0.113.7:7443", kind: "mapped" },
  ]);
});
