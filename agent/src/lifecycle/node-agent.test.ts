/**
 * The agent as a whole, against a real enrolment server on TLS and a disk; the engine is played by the test, which so plays the
 * operator too: whatever the engine says came over the control session came from it.
 */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { randomUUID } from "node:crypto";
import { hashSecret, parseToken, spiffeIdOfNode, type JoinStatus, type SnapshotPeer } from "@saf/protocol";
import { parseConfig } from "../config.ts";
import { systemClock, type Clock } from "../schedule/clock.ts";
import { createLog } from "../telemetry/log.ts";
import { createFakeEngine, type FakeEngine } from "../testing/fake-engine.ts";
import {
  createTestAuthority,
  type SnapshotOverrides,
  type TestAuthority,
} from "../testing/test-authority.ts";
import {
  problemOf,
  startTestEnrolmentServer,
  type TestEnrolmentServer,
} from "../testing/test-enrolment-server.ts";
import { until } from "../testing/until.ts";
import type { NodeState, StatusView } from "../local-api/views.ts";
import { createNodeAgent, type NodeAgent } from "./node-agent.ts";

const peer: SnapshotPeer = {
  nodeId: randomUUID(),
  nodeName: "usa-1",
  fingerprint: "a".repeat(64),
  addresses: { ipv4: "100.96.0.6", ipv6: "fd5a::6" },
  candidates: [{ endpoint: "198.51.100.9:7443", kind: "host" }],
};
let offsetMs: number;
const clock: Clock = {
  elapsedMs: () => performance.now() + offsetMs,
  nowMs: () => Date.now() + offsetMs,
  sleep: (ms, signal) => systemClock.sleep(ms, signal),
};

let folder: string;
let authority: TestAuthority;
let server: TestEnrolmentServer;
let engine: FakeEngine;
let agent: NodeAgent;
let nodeId: string;
let token: string;
beforeEach(async () => {
  offsetMs = 0;
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-agent-"));
  authority = await createTestAuthority();
  server = await startTestEnrolmentServer({ authority });
  engine = createFakeEngine();
  nodeId = randomUUID();
  token = `saf1.lab.${"s".repeat(43)}.${authority.pin}`;
  agent = newAgent();
});
afterEach(async () => {
  await agent.stop();
  await server.close();
  await fs.rm(folder, { recursive: true, force: true });
});

function newAgent(extra: object = {}): NodeAgent {
  const sockets = { engineSocket: "/unused", apiSocket: "/unused" };
  const config = parseConfig(
    JSON.stringify({ nodeName: "home-a", stateDir: path.join(folder, "state"), ...sockets, ...extra }),
  );
  const readInterfaces = () => ({});
  const log = createLog("silent", "home-a");
  return createNodeAgent({
    config,
    log,
    clock,
    random: Math.random,
    connectEngine: engine.connect,
    readInterfaces,
  });
}
/** kill -9 and start again; the engine, its sessions and the disk stay. */
async function restart(extra: object = {}): Promise<void> {
  await agent.stop();
  agent = newAgent(extra);
  await agent.start();
}
const state = (expected: NodeState, withinMs?: number): Promise<StatusView> =>
  until(
    () => agent.status(),
    (status) => status.state === expected,
    withinMs,
  );
const join = () => agent.join({ server: server.url, token: parseToken(token), requestedRoles: [] });
const heartbeats = () => engine.sent.filter(({ kind }) => kind === "heartbeat").map(({ body }) => body);
const latest = () => engine.applied.at(-1);

async function approve(csr: string): Promise<JoinStatus> {
  return {
    state: "approved",
    nodeId,
    trustDomain: authority.trustDomain,
    certificateChain: [await authority.issueForCsr(csr, nodeId)],
    trustRoot: await authority.trustRoot(),
    control: authority.control,
  };
}
async function becomeMember(): Promise<void> {
  server.decide(approve);
  await agent.start();
  await join();
  await until(
    () => agent.status().nodeId,
    (id) => id === nodeId,
  );
  await until(
    () => latest()?.identity.spiffeId,
    (id) => id === spiffeIdOfNode(authority.trustDomain, nodeId),
  );
}
async function sendSnapshot(overrides: SnapshotOverrides = {}): Promise<void> {
  const body = { peers: [peer], ...overrides.body };
  engine.say("document", { jws: await authority.snapshot(nodeId, { ...overrides, body }) });
}
function acknowledge(): void {
  engine.say("heartbeat-ack", { sequence: 1, time: Math.floor(clock.nowMs() / 1000) });
}
async function becomeRunning(): Promise<void> {
  await becomeMember();
  engine.ready("operator");
  await sendSnapshot();
  acknowledge();
  await state("running");
  await until(
    () => latest()?.tunnel,
    (tunnel) => tunnel != null,
  );
}
async function everyFile(): Promise<string> {
  const names = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  const files = names
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  // A file may go between being listed and being read: it has nothing in it any more.
  return (await Promise.all(files.map((file) => fs.readFile(file, "utf8").catch(() => "")))).join("\n");
}

describe("a node that joins", () => {
  it("is unenrolled, pending, then lives by its first snapshot and tells the operator so", async () => {
    await agent.start();
    expect(agent.status()).toMatchObject({ state: "unenrolled", reason: null, nodeId: null });
    await join();
    expect(await state("pending")).toMatchObject({
      join: { tokenId: "lab", requestId: expect.stringMatching(/^home-a-/) },
    });
    server.decide(approve);
    await until(
      () => engine.applied.length,
      (count) => count === 1,
    );
    expect(agent.status()).toMatchObject({ state: "joining", reasonCode: "SNAPSHOT_AWAITED", nodeId });
    expect(latest()).toMatchObject({ tunnel: null, peers: [{ id: "operator" }] });
    engine.ready("operator");
    await sendSnapshot({ epoch: 7 });
    acknowledge();
    const status = await state("running");
    expect(status).toMatchObject({
      addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
      snapshot: { term: 1, epoch: 7 },
      operator: { connected: true },
      engine: { connected: true, version: "fake" },
      documents: { accepted: 1, refused: {} },
      join: null,
      lastErrors: [],
    });
    const told = await until(
      () => heartbeats().at(-1),
      (body) => (body?.["applied"] as { epoch: number } | null)?.epoch === 7,
    );
    expect(told).toMatchObject({ peers: { known: 1, direct: 0 } });
    expect(latest()).toMatchObject({
      authority: { epoch: 7 },
      peers: [{ id: "operator" }, { id: peer.nodeId }],
    });
  });

  it("leaves no secret of the token on disk once it is a member", async () => {
    await agent.start();
    await join();
    await state("pending");
    expect(await everyFile()).toContain("s".repeat(43)); // needed until then, to ask again after a restart
    server.decide(approve);
    await until(
      () => agent.status().join,
      (attempt) => attempt === null,
    );
    const files = await everyFile();
    expect(files).not.toContain("s".repeat(43));
    expect(files).not.toContain(hashSecret("s".repeat(43), Buffer.alloc(16)));
  });

  it("goes on waiting after a restart, without asking twice", async () => {
    await agent.start();
    await join();
    await state("pending");
    server.decide(approve);
    await restart();
    await until(
      () => agent.status().nodeId,
      (id) => id === nodeId,
    );
    expect(server.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  it("keeps the reason of a denial, over a restart too, and may ask again", async () => {
    server.decide(async () => ({ state: "denied", reason: "not one of ours" }));
    await agent.start();
    await join();
    await state("denied");
    await restart();
    expect(agent.status()).toMatchObject({
      state: "denied",
      reason: "not one of ours",
      reasonCode: "DENIED",
    });
    expect(await everyFile()).not.toContain("s".repeat(43));
    server.decide(approve);
    await join();
    await until(
      () => agent.status().nodeId,
      (id) => id === nodeId,
    );
  });

  it("tells why its token was refused", async () => {
    server.answerNext(problemOf("TOKEN_EXPIRED", 403));
    await agent.start();
    await join();
    const status = await until(
      () => agent.status(),
      ({ reasonCode }) => reasonCode === "TOKEN_EXPIRED",
    );
    expect(status).toMatchObject({ state: "unenrolled", lastErrors: [{ code: "TOKEN_EXPIRED" }] });
  });

  it("joins by its configuration and deletes the token file", async () => {
    const tokenFile = path.join(folder, "token");
    await fs.writeFile(tokenFile, `${token}\n`);
    server.decide(approve);
    agent = newAgent({ join: { server: server.url, tokenFile } });
    await agent.start();
    await until(
      () => agent.status().nodeId,
      (id) => id === nodeId,
    );
    await expect(fs.stat(tokenFile)).rejects.toMatchObject({ code: "ENOENT" });
  });

  describe("as a pod", () => {
    const files = () => ({
      server: server.url,
      serviceAccountTokenFile: path.join(folder, "sa-token"),
      pinFile: path.join(folder, "pin"),
    });
    const write = (name: string, text: string) => fs.writeFile(path.join(folder, name), text);
    const posts = () => server.requests.filter(({ method }) => method === "POST");
    const member = () =>
      until(
        () => agent.status().nodeId,
        (id) => id === nodeId,
      );

    it("joins with the token and the pin as they are by then, and leaves its files alone", async () => {
      server.decide(approve);
      agent = newAgent({ join: files() });
      await agent.start();
      const waiting = await until(
        () => agent.status(),
        ({ reasonCode }) => reasonCode === "PIN_UNREADABLE",
      );
      expect(waiting).toMatchObject({ state: "joining", join: { tokenId: null, requestId: null } });
      server.answerNext(problemOf("SERVICE_ACCOUNT_TOKEN_REFUSED", 401));
      await write("pin", `${authority.pin}\n`);
      await write("sa-token", "old.pod.token");
      await until(
        () => agent.status().reasonCode,
        (code) => code === "SERVICE_ACCOUNT_TOKEN_REFUSED",
      );
      await write("sa-token", "new.pod.token\n");
      await member();
      expect(posts().map(({ body }) => body?.serviceAccountToken)).toEqual([
        "old.pod.token",
        "new.pod.token",
      ]);
      expect(posts()[0]?.body).not.toHaveProperty("secret");
      expect((await fs.readdir(folder)).sort()).toEqual(["pin", "sa-token", "state"]);
    });

    it("asks its own pending question again after a restart, and lives on as a member without asking", async () => {
      await write("pin", authority.pin);
      await write("sa-token", "a.pod.token");
      agent = newAgent({ join: files() });
      await agent.start();
      await state("pending");
      await restart({ join: files() });
      await state("pending");
      server.decide(approve);
      await restart({ join: files() });
      await member();
      expect(posts()).toHaveLength(1);
      await restart({ join: files() });
      expect(agent.status().nodeId).toBe(nodeId);
      expect(posts()).toHaveLength(1);
    });

    it("whose membership was revoked asks again with another key when its successor starts", async () => {
      await write("pin", authority.pin);
      await write("sa-token", "a.pod.token");
      agent = newAgent({ join: files() });
      server.decide(approve);
      await agent.start();
      await member();
      engine.ready("operator");
      const { fingerprint } = agent.status();
      engine.say("refused", { code: "REVOKED", message: "its FabricNode was deleted" });
      await state("revoked");
      server.decide(async () => ({ state: "pending" }));
      await restart({ join: files() });
      const pending = await state("pending");
      expect(pending.fingerprint).not.toBe(fingerprint);
      expect(posts()).toHaveLength(2);
    });
  });

  it("is not joined over", async () => {
    await becomeRunning();
    await expect(join()).rejects.toMatchObject({ code: "ALREADY_ENROLLED" });
  });
});

describe("a member", () => {
  it("comes back from disk without the operator, and gives the engine exactly what it has", async () => {
    await becomeRunning();
    const before = latest();
    await restart();
    expect(agent.status()).toMatchObject({ state: "degraded", snapshot: { epoch: 1 }, nodeId });
    await until(
      () => agent.status().reasonCode,
      (code) => code === "OPERATOR_UNHEARD",
    );
    expect(engine.stops).toBe(1); // before it joined, never since
    expect({ ...latest(), revision: 0 }).toEqual({ ...before, revision: 0 });
  });

  it("takes over the session that the engine kept, and beats at once", async () => {
    await becomeRunning();
    const count = heartbeats().length;
    await restart();
    await until(
      () => heartbeats().length,
      (now) => now > count,
    );
    acknowledge();
    await state("running");
  });

  it("gives a restarted engine everything back", async () => {
    await becomeRunning();
    const before = latest();
    engine.crash();
    await until(
      () => agent.status(),
      ({ reasonCode }) => reasonCode === "ENGINE_UNREACHABLE",
    );
    expect(agent.status().engine.connected).toBe(false);
    engine.start();
    await state("running");
    expect({ ...latest(), revision: 0 }).toEqual({ ...before, revision: 0 });
  });

  it("says degraded 15 s after the last acknowledgement, and running at the next", async () => {
    await becomeRunning();
    offsetMs += 15_100;
    expect(await state("degraded")).toMatchObject({ reasonCode: "OPERATOR_SILENT" });
    await until(
      () => heartbeats().at(-1)?.["degraded"],
      (degraded) => degraded === true,
    );
    acknowledge();
    await state("running");
  });

  it("counts and reports a document that it must not believe, and goes on by the one before", async () => {
    await becomeRunning();
    await sendSnapshot({ epoch: 0 });
    const status = await until(
      () => agent.status(),
      ({ documents }) => documents.refused["LOWER_EPOCH"] === 1,
    );
    expect(status).toMatchObject({
      state: "running",
      snapshot: { epoch: 1 },
      lastErrors: [{ code: "LOWER_EPOCH" }],
    });
  });

  it("reports what is no message at all", async () => {
    await becomeRunning();
    engine.say("gossip", {});
    engine.say("document", { jws: 5 });
    await until(
      () => agent.status().lastErrors.map(({ code }) => code),
      (codes) => codes.includes("ENVELOPE_UNKNOWN") && codes.includes("ENVELOPE_MALFORMED"),
    );
    expect(agent.status().state).toBe("running");
  });

  it("believes no document that a peer sends", async () => {
    await becomeRunning();
    const jws = await authority.snapshot(nodeId, { epoch: 9 });
    const payload = new TextEncoder().encode(JSON.stringify({ jws }));
    engine.emit({ type: "message", peer: peer.nodeId, kind: "document", payload });
    await sendSnapshot({ epoch: 2 });
    await until(
      () => agent.status().snapshot?.epoch,
      (epoch) => epoch !== 1,
    );
    expect(agent.status().snapshot?.epoch).toBe(2);
  });

  it("tells how many peers it reaches", async () => {
    await becomeRunning();
    engine.ready(peer.nodeId);
    expect(agent.status().peers).toEqual({ known: 1, direct: 1 });
    await until(
      () => heartbeats().at(-1)?.["peers"],
      (peers) => JSON.stringify(peers) === '{"known":1,"direct":1}',
    );
    expect((await agent.peers()).peers).toMatchObject([{ name: "usa-1", session: "ready", remote: null }]);
  });

  it("is expired when its snapshot is, keeps only the operator, and recovers by a new one", async () => {
    await becomeRunning();
    offsetMs += 3_601_000 - 60_000;
    await sendSnapshot({ epoch: 2, expiresAt: Math.floor(clock.nowMs() / 1000) + 2 });
    await until(
      () => agent.status().snapshot?.epoch,
      (epoch) => epoch === 2,
    );
    offsetMs += 3000;
    expect(await state("expired")).toMatchObject({ reasonCode: "SNAPSHOT_EXPIRED", snapshot: null });
    await until(latest, (desired) => desired?.tunnel === null);
    expect(latest()?.peers.map(({ id }) => id)).toEqual(["operator"]);
    await sendSnapshot({ epoch: 3 });
    acknowledge();
    await state("running");
  });

  it("renews its certificate at two thirds of its life, over the session, and keeps it", async () => {
    await becomeRunning();
    const before = agent.status().certificate;
    offsetMs += 25 * 60_000; // issued for an hour either way
    const asked = await until(
      () => engine.sent.find(({ kind }) => kind === "renew"),
      (message) => message !== undefined,
    );
    const later = { notBefore: new Date(), notAfter: new Date(Date.now() + 5 * 3_600_000) };
    const renewed = await authority.issueForCsr(asked?.body["csr"] as string, nodeId, later);
    engine.say("renewed", { certificateChain: [renewed] });
    const status = await until(
      () => agent.status(),
      ({ certificate }) => certificate?.notAfter !== before?.notAfter,
    );
    expect(status.certificate?.notAfter).toBe(Math.floor(later.notAfter.getTime() / 1000));
    await until(latest, (desired) => desired?.identity.certificateChainPem[0] === renewed);
    await restart();
    expect(agent.status().certificate).toEqual(status.certificate);
  });

  it("refuses a renewed certificate that is not its own", async () => {
    await becomeRunning();
    const { certificatePem } = await authority.issueServer(spiffeIdOfNode(authority.trustDomain, nodeId));
    engine.say("renewed", { certificateChain: [certificatePem] });
    await until(
      () => agent.status().lastErrors[0]?.code,
      (code) => code === "CERTIFICATE_INVALID",
    );
    expect(latest()?.identity.certificateChainPem).not.toContain(certificatePem);
  });

  it("reports an engine that cannot do what the snapshot says", async () => {
    await becomeRunning();
    engine.failNextApply("PREFIX_FORBIDDEN");
    await sendSnapshot({ epoch: 2 });
    await until(
      () => agent.status().reasonCode,
      (code) => code === "PREFIX_FORBIDDEN",
    );
    await state("running"); // the next attempt was allowed
  });
});

it("follows the operator to another key", async () => {
  await becomeRunning();
  const control = { ...authority.control, fingerprint: "e".repeat(64) };
  await sendSnapshot({ epoch: 2, body: { control } });
  await until(latest, (desired) => desired?.peers[0]?.fingerprint === "e".repeat(64));
  expect(agent.status().state).toBe("running");
});

describe("a revoked member", () => {
  const why = "stolen laptop";
  it.each<[string, () => Promise<void> | void]>([
    ["by the operator's word", () => engine.say("refused", { code: "REVOKED", message: why })],
    [
      "by its own snapshot",
      () =>
        sendSnapshot({ epoch: 2, body: { revoked: [{ nodeId, fingerprint: "f".repeat(64), reason: why }] } }),
    ],
  ])("%s stops, says why, and stays so", async (_name, revoke) => {
    await becomeRunning();
    const stops = engine.stops;
    await revoke();
    expect(await state("revoked")).toMatchObject({ reason: why, reasonCode: "REVOKED" });
    await until(
      () => engine.stops,
      (now) => now === stops + 1,
    );
    await restart();
    expect(agent.status()).toMatchObject({ state: "revoked", reason: why });
    expect(engine.applied.at(-1)).toBe(latest());
  });

  it("learns it at the operator's door when nobody told it", async () => {
    await becomeRunning();
    engine.emit({ type: "sessionClosed", peer: "operator", code: "REVOKED", message: "no longer a peer" });
    engine.setLastFailure("REVOKED", clock.nowMs() + 1000); // the engine dialled again and was refused
    engine.lose("operator");
    expect(await state("revoked")).toMatchObject({ reason: "the operator refuses this node as revoked" });
  });

  it("does not believe a refusal that anyone on the path could have forged", async () => {
    await becomeRunning();
    engine.emit({ type: "sessionClosed", peer: "operator", code: "IDLE_TIMEOUT", message: "timed out" });
    engine.setLastFailure("REVOKED", clock.nowMs() + 1000, false);
    engine.lose("operator");
    await until(
      () => agent.status().lastErrors[0]?.code,
      (code) => code === "REVOKED",
    );
    expect(agent.status().state).not.toBe("revoked");
  });

  it("does not take the end of a session for it, nor an old refusal, nor another peer's", async () => {
    await becomeRunning();
    engine.setLastFailure("REVOKED", clock.nowMs() - 1); // what the end of the session leaves there
    engine.emit({ type: "sessionClosed", peer: "operator", code: "REVOKED", message: "no longer a peer" });
    engine.emit({ type: "sessionClosed", peer: peer.nodeId, code: "REVOKED", message: "theirs" });
    engine.emit({ type: "refused", remote: "192.0.2.9:1", code: "REVOKED", spiffeId: null, count: 1 });
    engine.lose("operator");
    engine.disconnect(); // the agent looks again
    await until(
      () => agent.status().operator.connected,
      (connected) => !connected,
    );
    engine.setLastFailure("UNKNOWN_PEER", clock.nowMs() + 1000);
    await until(
      () => agent.status().lastErrors[0]?.code,
      (code) => code === "UNKNOWN_PEER",
    );
    expect(agent.status().state).not.toBe("revoked");
  });

  it("may join again, with a new key", async () => {
    await becomeRunning();
    const { fingerprint } = agent.status();
    engine.say("refused", { code: "REVOKED", message: why });
    await state("revoked");
    nodeId = randomUUID();
    await join();
    const status = await until(
      () => agent.status(),
      (seen) => seen.nodeId === nodeId,
    );
    expect(status.fingerprint).not.toBe(fingerprint);
    await restart();
    expect(agent.status()).toMatchObject({ nodeId, state: "joining" });
  });
});

describe("a damaged disk", () => {
  const identity = (name: string) => path.join(folder, "state/identity", name);

  it("costs nothing while one generation is intact", async () => {
    await becomeRunning();
    await agent.stop();
    for (const name of [
      "identity/membership",
      "identity/key",
      "documents/node-snapshot.jws",
      "documents/seen",
    ]) {
      await fs.truncate(path.join(folder, "state", name), 40);
    }
    await restart();
    expect(agent.status()).toMatchObject({ state: "degraded", nodeId, snapshot: { epoch: 1 } });
    expect(agent.status().lastErrors.map(({ code }) => code)).toEqual(Array(4).fill("STATE_CORRUPT"));
  });

  it("ends the membership when it is beyond recovery, says so, and a new join helps", async () => {
    await becomeRunning();
    await agent.stop();
    for (const name of ["membership", "membership.previous"]) await fs.truncate(identity(name), 40);
    await restart();
    expect(agent.status()).toMatchObject({ state: "expired", reasonCode: "STATE_CORRUPT" });
    await join();
    await until(
      () => agent.status().nodeId,
      (id) => id === nodeId,
    );
  });

  it("does not use a membership with another key", async () => {
    await becomeRunning();
    await agent.stop();
    for (const name of ["key", "key.previous"]) await fs.rm(identity(name));
    await restart();
    expect(agent.status()).toMatchObject({ state: "expired", reasonCode: "IDENTITY_LOST" });
    await until(
      () => engine.stops,
      (stops) => stops === 2,
    );
  });
});
