import type { FabricNode } from "@saf/crds";
import type { Heartbeat } from "@saf/protocol";
import type { NodeFacts } from "../../control/fleet.ts";
import type { Identity } from "../../ledger/ledger.ts";
import {
  decideNode,
  HEARTBEAT_STALE_MS,
  HEARTBEAT_WRITE_MS,
  JOIN_GRACE_MS,
  type NodeInput,
} from "./decide.ts";
import { sampleFacts } from "../../control/testing/sample-heartbeat.ts";

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const ID = "11111111-2222-4333-8444-555555555555";
const KEY = "a".repeat(64);

const identity: Identity = {
  nodeId: ID,
  nodeName: "home-a",
  requestId: "home-a-aaaaaaaa",
  fingerprint: KEY,
  addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
  area: "attic",
  status: "Active",
  reason: null,
  createdAt: NOW - 1000,
  certificateNotAfter: NOW + 86_400,
};

const heartbeat: Heartbeat = {
  sequence: 7,
  facts: sampleFacts,
  capabilities: { protocolVersions: ["saf/1"] },
  candidates: [],
  applied: { term: 3, epoch: 9, issuedAt: NOW - 60, expiresAt: NOW + 3600 },
  peers: { known: 4, direct: 4 },
  degraded: false,
  certificateNotAfter: NOW + 86_400,
};

const facts: NodeFacts = {
  session: { remote: "203.0.113.7:7443", sinceMs: NOW_MS - 60_000 },
  observed: "203.0.113.7:7443",
  heartbeat,
  heartbeatAtMs: NOW_MS - 1000,
  candidates: [],
};

function node(spec: object = {}, status?: FabricNode["status"]): FabricNode {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "FabricNode",
    metadata: { name: "home-a", generation: 2 },
    spec: { nodeId: ID, fingerprint: KEY, suspended: false, ...spec },
    ...(status && { status }),
  };
}

function input(changes: Partial<NodeInput> = {}): NodeInput {
  return {
    node: node(),
    identity,
    facts,
    roles: ["relay"],
    place: { natGroup: "203.0.113.7", locality: "203.0.113.7-192.168.1.0-24", candidates: [] },
    issued: { term: 3, epoch: 9, sinceMs: NOW_MS - 60_000 },
    reachability: "Mesh",
    nowMs: NOW_MS,
    ...changes,
  };
}

function beat(changes: Partial<Heartbeat>): Pick<NodeInput, "facts"> {
  return { facts: { ...facts, heartbeat: { ...heartbeat, ...changes } } };
}

const ready = (changes: Partial<NodeInput>) => decideNode(input(changes)).status.conditions?.[0];

describe("Ready", () => {
  const behind = { term: 3, epoch: 8, issuedAt: NOW - 60, expiresAt: NOW + 3600 };
  const never: NodeFacts = {
    session: null,
    observed: null,
    heartbeat: null,
    heartbeatAtMs: null,
    candidates: null,
  };
  it.each<[string, Partial<NodeInput>]>([
    ["NotEnrolled", { identity: undefined }],
    ["IdentityMismatch", { identity: { ...identity, fingerprint: "b".repeat(64) } }],
    ["Revoked", { identity: { ...identity, status: "Revoked", reason: "stolen" } }],
    ["Suspended", { node: node({ suspended: true }) }],
    ["AwaitingNode", { identity: { ...identity, certificateNotAfter: null }, facts: never }],
    ["CertificateExpired", { identity: { ...identity, certificateNotAfter: NOW - 1 } }],
    ["AwaitingNode", { facts: never }],
    ["HeartbeatStale", { facts: { ...facts, heartbeatAtMs: NOW_MS - HEARTBEAT_STALE_MS } }],
    ["SessionClosed", { facts: { ...facts, session: null } }],
    ["SnapshotStale", beat({ applied: behind })],
    ["SnapshotStale", beat({ applied: null })],
    ["SnapshotExpired", beat({ applied: { ...behind, expiresAt: NOW - 1 } })],
    ["NotIssued", { issued: null }],
    ["PeersUnreachable", beat({ peers: { known: 4, direct: 0 } })],
  ])("is False for %s", (reason, changes) => {
    expect(ready(changes)).toMatchObject({ type: "Ready", status: "False", reason });
  });

  it("is True when nothing stands in the way", () => {
    expect(ready({})).toMatchObject({ status: "True", reason: "Connected", observedGeneration: 2 });
  });

  it.each<[string, Partial<NodeInput>]>([
    [
      "a decision is on its way",
      { ...beat({ applied: behind }), issued: { term: 3, epoch: 9, sinceMs: NOW_MS - 500 } },
    ],
    ["it has no peers to reach", beat({ peers: { known: 0, direct: 0 } })],
    ["nobody may reach anybody", { ...beat({ peers: { known: 4, direct: 0 } }), reachability: "None" }],
  ])("stays True while %s", (_what, changes) => {
    expect(ready(changes)).toMatchObject({ status: "True" });
  });

  const young = (changes: Partial<Heartbeat>, ageMs: number): Partial<NodeInput> => ({
    facts: {
      ...facts,
      session: { remote: "203.0.113.7:7443", sinceMs: NOW_MS - ageMs },
      heartbeat: { ...heartbeat, ...changes },
    },
  });
  it.each<[string, (ageMs: number) => Partial<NodeInput>, string]>([
    ["no snapshot", (ageMs) => ({ ...young({}, ageMs), issued: null }), "NotIssued"],
    ["none confirmed", (ageMs) => young({ applied: null }, ageMs), "SnapshotStale"],
    ["no peer yet", (ageMs) => young({ peers: { known: 4, direct: 0 } }, ageMs), "PeersUnreachable"],
  ])("makes no trouble of %s while a node joins, and does afterwards", (_what, at, reason) => {
    expect(ready(at(JOIN_GRACE_MS - 1))).toMatchObject({ status: "False", reason: "Joining" });
    expect(ready(at(JOIN_GRACE_MS))).toMatchObject({ status: "False", reason });
    expect(decideNode(input(at(JOIN_GRACE_MS - 5))).nextMs).toBe(NOW_MS + 5);
  });

  it("says why a node was revoked", () => {
    expect(ready({ identity: { ...identity, status: "Revoked", reason: "stolen" } })?.message).toBe("stolen");
  });
});

describe("status", () => {
  it("carries what the node is and does", () => {
    expect(decideNode(input()).status).toMatchObject({
      addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
      roles: ["relay"],
      version: "0.1.0",
      natGroup: "203.0.113.7",
      peers: { direct: 4, known: 4 },
      summary: { roles: "relay", peers: "4/4" },
      snapshot: { term: 3, epoch: 9 },
      certificate: {},
    });
  });

  it("no longer knows the peers of a silent node", () => {
    const written = decideNode(input()).status;
    const silent = { ...facts, heartbeatAtMs: NOW_MS - HEARTBEAT_STALE_MS };
    const { status } = decideNode(input({ node: node({}, written), facts: silent }));
    expect(status).not.toHaveProperty("peers");
    expect(status.summary).toEqual({ roles: "relay" });
  });

  it("says nothing about an identity that is not the object's", () => {
    const { status } = decideNode(input({ identity: { ...identity, nodeId: "other" } }));
    expect(status).not.toHaveProperty("addresses");
  });

  it("is the same for a newer heartbeat until it is worth a write", () => {
    const written = decideNode(input()).status;
    const later = (byMs: number) =>
      decideNode(
        input({
          node: node({}, written),
          nowMs: NOW_MS + byMs,
          facts: { ...facts, heartbeatAtMs: NOW_MS + byMs - 100 },
        }),
      ).status;
    expect(later(5_000)).toEqual(written);
    expect(later(HEARTBEAT_WRITE_MS).lastHeartbeatTime).not.toBe(written.lastHeartbeatTime);
  });

  it("takes the newest heartbeat along when something else changed", () => {
    const written = decideNode(input()).status;
    const moved = {
      ...facts,
      heartbeatAtMs: NOW_MS + 4_000,
      heartbeat: { ...heartbeat, peers: { known: 4, direct: 3 } },
    };
    const { status } = decideNode(input({ node: node({}, written), nowMs: NOW_MS + 5_000, facts: moved }));
    expect(status.lastHeartbeatTime).not.toBe(written.lastHeartbeatTime);
  });

  it("keeps what was known when a new operator has not heard from the node yet", () => {
    const written = decideNode(input()).status;
    const unheard: NodeFacts = { ...facts, session: null, heartbeat: null, heartbeatAtMs: null };
    const { status } = decideNode(input({ node: node({}, written), facts: unheard, nowMs: NOW_MS + 2_000 }));
    expect(status).toMatchObject({
      version: "0.1.0",
      peers: written.peers,
      lastHeartbeatTime: written.lastHeartbeatTime,
    });
    expect(status.conditions?.[0]).toEqual(written.conditions?.[0]);
  });

  it("lets go of that when the node stays silent", () => {
    const written = decideNode(input()).status;
    const unheard: NodeFacts = { ...facts, session: null, heartbeat: null, heartbeatAtMs: null };
    const silentMs = HEARTBEAT_WRITE_MS + HEARTBEAT_STALE_MS;
    const { status } = decideNode(
      input({ node: node({}, written), facts: unheard, nowMs: NOW_MS + silentMs }),
    );
    expect(status.conditions?.[0]).toMatchObject({ status: "False", reason: "HeartbeatStale" });
  });

  it("asks to be looked at again when the heartbeat would be stale", () => {
    expect(decideNode(input()).nextMs).toBe(NOW_MS - 1000 + HEARTBEAT_STALE_MS);
  });
});
