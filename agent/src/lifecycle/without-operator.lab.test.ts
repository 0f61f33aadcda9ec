/**
 * Two members that start from disk, with real engines, and no operator anywhere:
 *
 *   usa-1 198.51.100.21 ──┐
 *                         ├── internet
 *   test-1 203.0.113.41 ──┘
 *
 * Each node lives by the snapshot that it finds; agents and engines are killed under running pings.
 */
import { randomUUID } from "node:crypto";
import { chownSync, mkdirSync, readdirSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { createCsr, type NodeSnapshotBody, type SnapshotPeer } from "@saf/protocol";
import { watchPings } from "../../../hack/demo/ping-watch.ts";
import { createLab, type Lab } from "../../../hack/lab/lab.ts";
import { addAgent, addEngine, agentUser, FABRIC_PORT, programPaths } from "../../../hack/lab/programs.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { trustedDocuments } from "../documents/trusted-documents.ts";
import { identityRecords } from "../identity/membership.ts";
import { openNodeKey } from "../identity/node-key.ts";
import type { NodeState, PeersView, StatusView } from "../local-api/views.ts";
import { createTestAuthority, type TestAuthority } from "../testing/test-authority.ts";
import { until } from "../testing/until.ts";

const topology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24", "198.51.100.1/24"] } },
  routers: {},
  hosts: {
    "usa-1": { network: "internet", address: "198.51.100.21/24", gateway: "198.51.100.1" },
    "test-1": { network: "internet", address: "203.0.113.41/24", gateway: "203.0.113.1" },
  },
};
const NAMES = ["usa-1", "test-1"] as const;
type Name = (typeof NAMES)[number];
const ids: Readonly<Record<Name, string>> = { "usa-1": randomUUID(), "test-1": randomUUID() };
const addresses: Readonly<Record<Name, SnapshotPeer["addresses"]>> = {
  "usa-1": { ipv4: "100.96.0.1", ipv6: "fd5a::1" },
  "test-1": { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
};
const LIFETIME_SECONDS = 3600;

let lab: Lab;
let authority: TestAuthority;
const fingerprints = new Map<Name, string>();

beforeAll(async () => {
  lab = await createLab(topology);
  authority = await createTestAuthority("lab.example");
  for (const name of NAMES) await makeKey(name);
  for (const [index, name] of NAMES.entries()) {
    await makeMember(name, LIFETIME_SECONDS);
    give(stateOf(name), index);
    addEngine(lab, name, { serves: "agent", user: agentUser(index) });
    addAgent(lab, name, { user: agentUser(index) });
  }
}, 60_000);
afterAll(async () => {
  await lab.destroy();
}, 60_000);

// ---- what an operator would have left on disk

const stateOf = (name: Name): string => programPaths(lab.host(name), "agent").stateDir;
const unexpected = (what: unknown): never => {
  throw new Error(`unexpected: ${String(what)}`);
};

async function makeKey(name: Name): Promise<void> {
  const folder = path.join(stateOf(name), "identity");
  mkdirSync(folder, { recursive: true });
  fingerprints.set(name, (await openNodeKey({ folder, onRecovered: unexpected })).fingerprint);
}

async function makeMember(name: Name, lifetimeSeconds: number): Promise<void> {
  const folder = path.join(stateOf(name), "identity");
  const { pem, fingerprint } = await openNodeKey({ folder, onRecovered: unexpected });
  const certificate = await authority.issueForCsr(await createCsr(pem, name), ids[name]);
  const subject = { trustDomain: authority.trustDomain, nodeId: ids[name] };
  const membership = { ...subject, fingerprint, certificateChain: [certificate], control: authority.control };
  await identityRecords(folder, unexpected).membership.save({ ...membership, revoked: null });
  await keepSnapshot(name, subject, lifetimeSeconds);
}

async function keepSnapshot(
  name: Name,
  subject: { trustDomain: string; nodeId: string },
  lifetimeSeconds: number,
): Promise<void> {
  const folder = path.join(stateOf(name), "documents");
  mkdirSync(folder, { recursive: true });
  const documents = trustedDocuments({ folder, onRecovered: unexpected, onUnusable: unexpected });
  const now = Math.floor(Date.now() / 1000);
  const body: Partial<NodeSnapshotBody> = {
    nodeName: name,
    addresses: addresses[name],
    peers: NAMES.filter((other) => other !== name).map(peerOf),
  };
  await documents.begin(await authority.trustRoot(), subject, now);
  await documents.accept(
    await authority.snapshot(ids[name], { expiresAt: now + lifetimeSeconds, body }),
    now,
  );
  await documents.flush();
}

function peerOf(name: Name): SnapshotPeer {
  const endpoint = `${lab.host(name).address}:${FABRIC_PORT}`;
  const fingerprint = fingerprints.get(name) ?? "";
  const candidates = [{ endpoint, kind: "host" as const }];
  return { nodeId: ids[name], nodeName: name, fingerprint, addresses: addresses[name], candidates };
}

function give(folder: string, index: number): void {
  const { uid, gid } = agentUser(index);
  chownSync(folder, uid, gid);
  for (const entry of readdirSync(folder, { recursive: true }))
    chownSync(path.join(folder, String(entry)), uid, gid);
}

// ---- what can be seen from outside

function get<T>(name: Name, target: string): Promise<T> {
  const { apiSocket: socketPath } = programPaths(lab.host(name), "agent");
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: target }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(JSON.parse(text) as T));
    });
    outgoing.on("error", reject).end();
  });
}
const status = (name: Name): Promise<StatusView | null> =>
  get<StatusView>(name, "/v1/status").catch(() => null);
const hasState = (name: Name, state: NodeState) =>
  until(
    () => status(name),
    (seen) => seen?.state === state,
    15_000,
  );
const pingBothWays = () =>
  watchPings([
    { from: lab.host("usa-1"), address: addresses["test-1"].ipv6 },
    { from: lab.host("test-1"), address: addresses["usa-1"].ipv4 },
  ]);
const interfaces = async (name: Name): Promise<string> =>
  (await lab.host(name).exec(["ip", "-o", "addr"])).stdout;

describe("two members without an operator", () => {
  it("reach each other by what is on their disks, and say degraded", async () => {
    for (const name of NAMES) {
      await until(
        () => status(name),
        (seen) => seen?.reasonCode === "OPERATOR_UNHEARD" && seen.peers.direct === 1,
        15_000,
      );
    }
    const pings = await pingBothWays();
    expect((await pings.stop()).lost).toBe(0);
    const { peers } = await get<PeersView>("usa-1", "/v1/peers");
    expect(peers).toMatchObject([
      { name: "test-1", session: "ready", remote: `203.0.113.41:${FABRIC_PORT}` },
    ]);
    expect(await status("usa-1")).toMatchObject({
      state: "degraded",
      nodeId: ids["usa-1"],
      engine: { interface: "fabric0" },
      peers: { known: 1, direct: 1 },
    });
  }, 30_000);

  it("lose no packet when an agent is killed with -9 and comes back", async () => {
    const before = await status("usa-1");
    const pings = await pingBothWays();
    await lab.supervisor.killHard("usa-1/agent");
    const after = await until(
      () => status("usa-1"),
      (seen) =>
        seen?.state === "degraded" && seen.engine.connected && seen.startedAt >= (before?.startedAt ?? 0),
      15_000,
    );
    await pings.answeredSinceNow();
    const { lost, received } = await pings.stop();
    expect(lost).toBe(0);
    expect(received).toBeGreaterThan(0);
    expect(after?.engine.instanceId).toBe(before?.engine.instanceId);
    expect(after?.peers.direct).toBe(1);
    expect(lab.supervisor.get("usa-1/agent").restarts).toBe(1);
  }, 30_000);

  it("lose no packet when an agent is stopped for an upgrade and started again", async () => {
    const pings = await pingBothWays();
    await lab.supervisor.stop("test-1/agent");
    await pings.answeredSinceNow();
    lab.supervisor.start("test-1/agent");
    await hasState("test-1", "degraded");
    await pings.answeredSinceNow();
    expect((await pings.stop()).lost).toBe(0);
  }, 30_000);

  it("are back within two seconds when an engine is killed with -9", async () => {
    const before = await status("test-1");
    const pings = await pingBothWays();
    await lab.supervisor.killHard("test-1/engine");
    await until(
      () => status("test-1"),
      (seen) =>
        seen !== null && seen.engine.connected && seen.engine.instanceId !== before?.engine.instanceId,
      10_000,
    );
    await until(
      () => pings.answeredSinceNow().catch(() => false),
      (answered) => answered,
      10_000,
    );
    const { longestGapMs } = await pings.stop();
    expect(longestGapMs).toBeGreaterThan(0);
    expect(longestGapMs).toBeLessThan(2000);
  }, 30_000);

  it("do nothing any more, with or without an agent, when the snapshot has run out", async () => {
    for (const name of NAMES) await lab.supervisor.stop(`${name}/agent`);
    for (const [index, name] of NAMES.entries()) {
      await makeMember(name, 8);
      give(stateOf(name), index);
      lab.supervisor.start(`${name}/agent`);
    }
    await until(
      () => status("usa-1"),
      (seen) => seen?.reasonCode === "OPERATOR_UNHEARD", // the engine has it
      8000,
    );
    await lab.supervisor.stop("usa-1/agent"); // its engine is on its own now
    expect(await hasState("test-1", "expired")).toMatchObject({ reasonCode: "SNAPSHOT_EXPIRED" });
    for (const name of NAMES) {
      await until(
        () => interfaces(name),
        (listing) => !listing.includes("fabric0"),
        5000,
      );
    }
  }, 30_000);
});
