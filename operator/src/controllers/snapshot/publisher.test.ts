import { pino } from "pino";
import type { Cluster, FabricNode, RoleAssignment } from "@saf/crds";
import type { OperatorEnvelope } from "@saf/protocol";
import type { SignedDocument, SnapshotBatch } from "../../authority/authority.ts";
import { createFleet } from "../../control/fleet.ts";
import { createIdentityDirectory } from "../../control/identity-directory.ts";
import { ManualClock } from "../../kube/manual-clock.ts";
import { LedgerError } from "../../ledger/errors.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { createOperatorTelemetry } from "../../telemetry/operator-telemetry.ts";
import type { Scope } from "../scope.ts";
import { createPublisher } from "./publisher.ts";

const TERM = 3;
const LIFETIME_SECONDS = 1_000;

const identity = (nodeName: string): Identity => ({
  nodeId: `id-${nodeName}`,
  nodeName,
  requestId: nodeName,
  fingerprint: nodeName,
  addresses: { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
  area: null,
  status: "Active",
  reason: null,
  createdAt: 0,
  certificateNotAfter: 2_000_000_000,
});

const cluster = {
  metadata: { name: "home" },
  spec: {
    trustDomain: "home.example",
    reachability: "Mesh",
    addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
    endpoints: { enrolment: ["https://192.0.2.1:8443"], control: ["192.0.2.1:7443"] },
    documents: { snapshotLifetimeSeconds: LIFETIME_SECONDS },
    tunnel: { mtu: 1280 },
    dns: { domain: "fabric.internal" },
  },
} as unknown as Cluster;

const relay: RoleAssignment = {
  apiVersion: "fabric.saf.dev/v1alpha1",
  kind: "RoleAssignment",
  metadata: { name: "a-relay", uid: "u", generation: 1 },
  spec: { role: "relay", nodeName: "a" },
};

async function bench() {
  const clock = new ManualClock();
  const fleet = createFleet();
  const world = {
    identities: [identity("a"), identity("b")],
    assignments: [] as RoleAssignment[],
    epoch: 40,
    fenced: false,
    away: false,
    congested: false,
  };
  const identities = createIdentityDirectory({
    identities: async () => world.identities,
    endedIdentities: async () => [],
  });
  await identities.refresh();
  const signed: string[][] = [];
  const sent: { nodeId: string; jws: string }[] = [];
  const errors: unknown[] = [];
  let editions = 0;
  const authority = {
    control: { spiffeId: "spiffe://home.example/operator/control", fingerprint: "op" },
    signSnapshots: async ({ epoch, lifetimeSeconds, snapshots }: SnapshotBatch) => {
      signed.push(snapshots.map(({ nodeId }) => nodeId));
      const issuedAt = clock.nowMs() / 1000;
      return new Map<string, SignedDocument>(
        snapshots.map(({ nodeId, roles }) => [
          nodeId,
          {
            jws: `${epoch} ${roles.join()} ${issuedAt}`,
            term: TERM,
            epoch,
            issuedAt,
            expiresAt: issuedAt + lifetimeSeconds,
          },
        ]),
      );
    },
  };
  const scope = {
    authority,
    caches: {
      nodes: { get: (): FabricNode | undefined => undefined },
      assignments: { list: () => world.assignments },
    },
    clock,
    cluster: () => cluster,
    fleet,
    identities,
    ledger: {
      advanceEpoch: async () => {
        if (world.fenced) throw new LedgerError("FENCED", "another term");
        if (world.away) throw new LedgerError("LEDGER_UNAVAILABLE", "away");
        return (world.epoch += 1);
      },
    },
    log: pino({ level: "silent" }),
    telemetry: createOperatorTelemetry({ durationMs: 6000 }),
    random: () => 0,
    term: TERM,
  } as unknown as Scope;
  const publisher = createPublisher({
    scope,
    send: async (nodeId: string, envelope: OperatorEnvelope) => {
      if (world.congested) return false;
      if (envelope.kind === "document") sent.push({ nodeId, jws: envelope.body.jws });
      return true;
    },
    onFenced: (error) => errors.push(error),
    onEdition: () => (editions += 1),
  });
  fleet.onChange((nodeId) => publisher.attend(nodeId));
  const end = new AbortController();
  const running = publisher.run(end.signal);
  const connect = (name: string): void => fleet.sessionReady(`id-${name}`, "203.0.113.7:1", clock.nowMs());
  const disconnect = (name: string): void => fleet.sessionClosed(`id-${name}`);
  const confirm = (name: string): void => {
    const jws = sent.findLast(({ nodeId }) => nodeId === `id-${name}`)?.jws ?? "";
    const [epoch, issuedAt] = [Number(jws.split(" ")[0]), Number(jws.split(" ")[2])];
    fleet.heard(
      `id-${name}`,
      { applied: { term: TERM, epoch, issuedAt, expiresAt: issuedAt + LIFETIME_SECONDS } } as never,
      clock.nowMs(),
    );
  };
  return {
    clock,
    world,
    publisher,
    signed,
    sent,
    errors,
    editions: () => editions,
    connect,
    disconnect,
    confirm,
    stop: async () => (end.abort(), await running),
  };
}

it("begins its term with a new epoch, and makes none while nothing changes", async () => {
  const { clock, publisher, world, stop } = await bench();
  publisher.changed();
  await clock.advance(20);
  publisher.changed();
  await clock.advance(1_000);
  expect(publisher.epoch).toBe(41);
  expect(world.epoch).toBe(41);
  await stop();
});

it("makes one epoch of changes that come together", async () => {
  const { clock, publisher, world, stop } = await bench();
  publisher.changed();
  await clock.advance(1_000);
  world.assignments = [relay];
  publisher.changed();
  publisher.changed();
  await clock.advance(20);
  expect(world.epoch).toBe(42);
  expect(publisher.assignmentEpoch(relay)).toBe(42);
  expect(publisher.issuedTo("id-a")).toMatchObject({ term: TERM, epoch: 42 });
  await stop();
});

it("makes few epochs of a long burst", async () => {
  const { clock, publisher, world, stop } = await bench();
  for (let index = 0; index < 100; index += 1) {
    world.assignments = [
      {
        ...relay,
        metadata: { ...relay.metadata, name: `r${index}`, uid: `u${index}` },
        spec: { role: index % 2 ? "exit" : "relay", nodeName: "a" },
      },
    ];
    publisher.changed();
    await clock.advance(10);
  }
  await clock.advance(1_000);
  expect(world.epoch - 40).toBeLessThanOrEqual(7);
  expect(publisher.compiled?.roles.get("id-a")).toEqual(["exit"]);
  await stop();
});

it("signs for connected nodes only, and for the others when they connect", async () => {
  const { clock, publisher, connect, signed, sent, stop } = await bench();
  connect("a");
  publisher.changed();
  await clock.advance(50);
  expect(signed.flat()).toEqual(["id-a"]);
  connect("b");
  await clock.advance(50);
  expect(sent.map(({ nodeId }) => nodeId)).toEqual(["id-a", "id-b"]);
  await stop();
});

it("tells every connected node of a change, within a few milliseconds", async () => {
  const { clock, publisher, connect, confirm, sent, world, stop } = await bench();
  connect("a");
  connect("b");
  publisher.changed();
  await clock.advance(500);
  confirm("a");
  confirm("b");
  sent.length = 0;
  world.assignments = [relay];
  publisher.changed();
  await clock.advance(25);
  expect(sent.map(({ nodeId, jws }) => `${nodeId} ${jws.split(" ").slice(0, 2).join(" ")}`).sort()).toEqual([
    "id-a 42 relay",
    "id-b 42 ",
  ]);
  await stop();
});

it("repeats a document until the node confirms it", async () => {
  const { clock, publisher, connect, confirm, sent, stop } = await bench();
  connect("a");
  publisher.changed();
  await clock.advance(12_000);
  expect(sent).toHaveLength(3);
  confirm("a");
  await clock.advance(60_000);
  expect(sent).toHaveLength(3);
  await stop();
});

it("signs anew at half of a document's life, in the same epoch", async () => {
  const { clock, publisher, connect, confirm, sent, world, stop } = await bench();
  connect("a");
  publisher.changed();
  await clock.advance(50);
  confirm("a");
  await clock.advance((LIFETIME_SECONDS / 2) * 1000 - 1_000);
  expect(sent).toHaveLength(1);
  await clock.advance(2_000);
  expect(sent).toHaveLength(2);
  expect(world.epoch).toBe(41);
  await stop();
});

it("does so for a node that came after the edition, too", async () => {
  const { clock, publisher, connect, confirm, sent, stop } = await bench();
  publisher.changed();
  await clock.advance(50);
  connect("a");
  await clock.advance(50);
  confirm("a");
  await clock.advance((LIFETIME_SECONDS / 2) * 1000 + 1_000);
  expect(sent).toHaveLength(2);
  await stop();
});

it("tries again when the engine cannot take it now", async () => {
  const { clock, publisher, connect, sent, world, stop } = await bench();
  world.congested = true;
  connect("a");
  publisher.changed();
  await clock.advance(4_000);
  expect(sent).toEqual([]);
  world.congested = false;
  await clock.advance(5_000);
  expect(sent).toHaveLength(1);
  await stop();
});

it("sends at once to a node that came back", async () => {
  const { clock, publisher, connect, disconnect, sent, stop } = await bench();
  connect("a");
  publisher.changed();
  await clock.advance(50);
  expect(sent).toHaveLength(1);
  disconnect("a");
  connect("a");
  await clock.advance(50);
  expect(sent).toHaveLength(2);
  await stop();
});

it("publishes nothing when it is fenced", async () => {
  const { clock, publisher, connect, sent, errors, world, stop } = await bench();
  world.fenced = true;
  connect("a");
  publisher.changed();
  await clock.advance(1_000);
  expect(errors.length).toBeGreaterThan(0);
  expect(sent).toEqual([]);
  expect(publisher.epoch).toBeNull();
  await stop();
});

it("waits for a ledger that is away", async () => {
  const { clock, publisher, connect, sent, world, errors, stop } = await bench();
  world.away = true;
  connect("a");
  publisher.changed();
  await clock.advance(30_000);
  expect(sent).toEqual([]);
  world.away = false;
  await clock.advance(10_000);
  expect(sent.length).toBeGreaterThan(0);
  expect(errors).toEqual([]);
  await stop();
});
