import fc from "fast-check";
import { nodeSnapshotBody, type NodeSnapshotBody, type SnapshotPeer } from "@saf/protocol";
import type { NodeSnapshot } from "../documents/trusted-documents.ts";
import { compileIntents, OPERATOR_PEER, ownRevocation, type Belief } from "./desired.ts";

const NODE = "6a6f2d9c-6f0e-4d3e-9a55-0d8f5f3e2b11";
const PEER = "0b6f2d9c-6f0e-4d3e-9a55-0d8f5f3e2b12";
const control = {
  endpoints: ["192.0.2.1:7443", "[2001:db8::1]:7443"],
  spiffeId: "spiffe://demo.example/operator/control",
  fingerprint: "0".repeat(64),
};
const peer: SnapshotPeer = {
  nodeId: PEER,
  nodeName: "usa-1",
  fingerprint: "a".repeat(64),
  addresses: { ipv4: "100.96.0.6", ipv6: "fd5a::6" },
  candidates: [
    { endpoint: "203.0.113.9:40000", kind: "mapped" },
    { endpoint: "198.51.100.9:7443", kind: "host" },
    { endpoint: "10.1.0.9:7443", kind: "private" },
  ],
};
const body: NodeSnapshotBody = {
  nodeId: NODE,
  nodeName: "home-a",
  roles: [],
  addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
  pools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  mtu: 1280,
  control,
  peers: [peer],
  revoked: [{ nodeId: "1b6f2d9c-6f0e-4d3e-9a55-0d8f5f3e2b13", fingerprint: "b".repeat(64), reason: "lost" }],
  trafficRules: [
    { class: "dns", protocol: "udp", ports: [{ from: 53 }, { from: 5350, to: 5353 }], maxPacketBytes: 512 },
    { class: "control", dscp: [48], belowBytesPerSecond: 1000 },
  ],
  trustRoot: "-",
};
function snapshotOf(overrides: Partial<NodeSnapshotBody> = {}): NodeSnapshot {
  const order = { cluster: "demo.example", term: 2, epoch: 7, issuedAt: 1000, expiresAt: 5000, scope: NODE };
  return { ...order, body: { ...body, ...overrides } };
}
function belief(overrides: Partial<Belief> = {}): Belief {
  return {
    trustDomain: "demo.example",
    nodeId: NODE,
    certificateChain: ["leaf"],
    certificateNotAfter: 9000,
    caCertificates: ["ca"],
    control: { ...control, endpoints: ["192.0.2.77:7443"] },
    snapshot: snapshotOf(),
    ...overrides,
  };
}

describe("compileIntents", () => {
  it("gives the engine exactly what the snapshot says", () => {
    expect(compileIntents(belief())).toEqual({
      trustDomain: "demo.example",
      expiresAtMs: 5_000_000,
      authority: { term: 2, epoch: 7 },
      identity: {
        spiffeId: `spiffe://demo.example/node/${NODE}`,
        certificateChainPem: ["leaf"],
        caCertificatesPem: ["ca"],
      },
      tunnel: {
        addresses: ["100.96.0.5/32", "fd5a::5/128"],
        routes: ["100.96.0.0/16", "fd5a::/64"],
        mtu: 1280,
      },
      peers: [
        {
          id: OPERATOR_PEER,
          spiffeId: control.spiffeId,
          fingerprint: control.fingerprint,
          candidates: control.endpoints,
          remotePrefixes: [],
          localPrefixes: [],
          expiresAtMs: 9_000_000,
        },
        {
          id: PEER,
          spiffeId: `spiffe://demo.example/node/${PEER}`,
          fingerprint: peer.fingerprint,
          candidates: ["10.1.0.9:7443", "198.51.100.9:7443", "203.0.113.9:40000"],
          remotePrefixes: ["100.96.0.6/32", "fd5a::6/128"],
          localPrefixes: ["100.96.0.5/32", "fd5a::5/128"],
          expiresAtMs: 5_000_000,
        },
      ],
      revoked: ["b".repeat(64)],
      trafficRules: [
        {
          class: "dns",
          protocol: "udp",
          ports: [
            { from: 53, to: 53 },
            { from: 5350, to: 5353 },
          ],
          dscp: [],
          maxPacketBytes: 512,
          belowBytesPerSecond: null,
        },
        {
          class: "control",
          protocol: null,
          ports: [],
          dscp: [48],
          maxPacketBytes: null,
          belowBytesPerSecond: 1000,
        },
      ],
    });
  });

  it("leaves only the operator, at its last known place, when there is no snapshot in force", () => {
    const intents = compileIntents(belief({ snapshot: null }));
    expect(intents.tunnel).toBeNull();
    expect(intents.revoked).toEqual([]);
    expect(intents.expiresAtMs).toBe(9_000_000);
    expect(intents.peers).toMatchObject([{ id: OPERATOR_PEER, candidates: ["192.0.2.77:7443"] }]);
  });

  it("never lets an intent outlive the certificate", () => {
    const intents = compileIntents(belief({ certificateNotAfter: 3000 }));
    expect([intents.expiresAtMs, ...intents.peers.map(({ expiresAtMs }) => expiresAtMs)]).toEqual([
      3_000_000, 3_000_000, 3_000_000,
    ]);
  });

  it("lets no peer speak for an address that the snapshot gave to another", () => {
    const address = fc.integer({ min: 1, max: 250 });
    fc.assert(
      fc.property(fc.uniqueArray(address, { minLength: 1, maxLength: 50 }), (hosts) => {
        const peers = hosts.map((host) => ({
          ...peer,
          nodeId: `00000000-0000-4000-8000-${String(host).padStart(12, "0")}`,
          addresses: { ipv4: `100.96.1.${host}`, ipv6: `fd5a::1:${host}` },
        }));
        nodeSnapshotBody.parse({ ...body, peers });
        const intents = compileIntents(belief({ snapshot: snapshotOf({ peers }) }));
        const prefixes = intents.peers.flatMap(({ remotePrefixes }) => remotePrefixes);
        expect(new Set(prefixes).size).toBe(2 * hosts.length);
        expect(prefixes.every((prefix) => /\/(32|128)$/.test(prefix))).toBe(true);
      }),
    );
  });
});

describe("ownRevocation", () => {
  it("finds this node by id or by key, and nobody else", () => {
    const entry = { nodeId: NODE, fingerprint: "c".repeat(64), reason: "stolen" };
    expect(ownRevocation(snapshotOf(), NODE, "d".repeat(64))).toBeNull();
    expect(ownRevocation(snapshotOf({ revoked: [entry] }), NODE, "d".repeat(64))).toBe("stolen");
    expect(ownRevocation(snapshotOf({ revoked: [entry] }), PEER, "c".repeat(64))).toBe("stolen");
  });
});
