/** What ledger.ts promises, on a real PostgreSQL. */
import { randomBytes, randomUUID } from "node:crypto";
import type { CertificateRecord, Identity, JoinDecision, JoinInput, Ledger } from "./ledger.ts";
import { joinInput, pools, tokenSpec, unnamed } from "./testing/join-input.ts";
import {
  openTestLedger,
  quiet,
  START,
  startTestPostgres,
  type TestClock,
  type TestPostgres,
} from "./testing/test-postgres.ts";
import { openLedger } from "./open-ledger.ts";

let postgres: TestPostgres;
let url: string;
let clock: TestClock;
let ledger: Ledger;
let term: number;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  url = await postgres.createDatabase();
  clock = { now: START };
  ledger = await openTestLedger(url, clock);
  ({ term } = await ledger.takeTerm({ holder: "first", expected: 0 }));
});
afterEach(() => ledger.close());

const refusal = (code: string): object => expect.objectContaining({ name: "LedgerError", code });

function approval(requestId: string, overrides: Partial<JoinDecision> = {}): JoinDecision {
  return { requestId, decision: "Approved", actor: "alice", reason: "known host", pools, ...overrides };
}

async function admit(overrides: Partial<JoinInput> = {}): Promise<{ requestId: string; created: boolean }> {
  return ledger.admitJoin(term, joinInput(overrides));
}

async function enrol(overrides: Partial<JoinInput> = {}): Promise<Identity> {
  const { requestId } = await admit(overrides);
  const { nodeId } = await ledger.decideJoin(term, approval(requestId));
  const identity = await ledger.identity(nodeId ?? "");
  if (!identity) throw new Error("approved without an identity");
  return identity;
}

function certificate(nodeId: string, overrides: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    nodeId,
    serial: randomBytes(16).toString("hex"),
    chainPem: ["leaf", "ca"],
    issuedAt: clock.now,
    notAfter: clock.now + 3600,
    ...overrides,
  };
}

describe("a ledger's own identity", () => {
  it("stays, however often it is opened", async () => {
    const again = await openTestLedger(url);
    expect(again.id).toBe(ledger.id);
    await again.close();
  });

  it("is not another database's", async () => {
    const other = await openTestLedger(await postgres.createDatabase());
    expect(other.id).not.toBe(ledger.id);
    await other.close();
  });

  it("refuses another trust domain", async () => {
    const opening = openLedger({
      database: { url },
      trustDomain: "other.example",
      clock: () => START,
      log: quiet,
    });
    await expect(opening).rejects.toEqual(refusal("FOREIGN_LEDGER"));
  });

  it("is made once by operators that start together", async () => {
    const fresh = await postgres.createDatabase();
    const ledgers = await Promise.all([1, 2, 3].map(() => openTestLedger(fresh)));
    expect(new Set(ledgers.map(({ id }) => id)).size).toBe(1);
    await Promise.all(ledgers.map((opened) => opened.close()));
  });
});

describe("the term", () => {
  it("is taken by one of many who saw the same", async () => {
    const rivals = Array.from({ length: 10 }, (_, index) =>
      ledger.takeTerm({ holder: `rival-${index}`, expected: term }),
    );
    const results = await Promise.allSettled(rivals);
    const won = results.filter(({ status }) => status === "fulfilled");
    const lost = results
      .filter((result) => result.status === "rejected")
      .map(({ reason }) => reason as unknown);
    expect(won).toHaveLength(1);
    expect(lost).toEqual(Array.from({ length: 9 }, () => refusal("TERM_TAKEN")));
    expect((await ledger.currentTerm()).term).toBe(term + 1);
  });

  it("carries the epoch on and says who holds it", async () => {
    expect(await ledger.advanceEpoch(term)).toBe(1);
    expect(await ledger.advanceEpoch(term)).toBe(2);
    const next = await ledger.takeTerm({ holder: "second", expected: term });
    expect(next).toEqual({ term: term + 1, epoch: 2, holder: "second" });
    expect(await ledger.assertTerm(next.term)).toEqual(next);
    await expect(ledger.advanceEpoch(term)).rejects.toEqual(refusal("FENCED"));
  });

  it("counts every epoch once under concurrency", async () => {
    const epochs = await Promise.all(Array.from({ length: 30 }, () => ledger.advanceEpoch(term)));
    expect(epochs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
  });
});

describe("a deposed operator", () => {
  it("decides nothing any more", async () => {
    await ledger.putToken(term, tokenSpec());
    const member = await enrol();
    const { requestId } = await admit();
    const rival = await openTestLedger(url);
    await rival.takeTerm({ holder: "second", expected: term });

    const ending = { nodeId: member.nodeId, actor: "alice", reason: "lost" };
    const attempts: Record<string, () => Promise<unknown>> = {
      assertTerm: () => ledger.assertTerm(term),
      advanceEpoch: () => ledger.advanceEpoch(term),
      putToken: () => ledger.putToken(term, tokenSpec()),
      removeToken: () => ledger.removeToken(term, "lab"),
      admitJoin: () => ledger.admitJoin(term, joinInput()),
      decideJoin: () => ledger.decideJoin(term, approval(requestId)),
      revokeIdentity: () => ledger.revokeIdentity(term, ending),
      removeIdentity: () => ledger.removeIdentity(term, { ...ending, ...unnamed }),
      releaseAddresses: () => ledger.releaseAddresses(term, 0),
      recordCertificate: () => ledger.recordCertificate(term, certificate(member.nodeId)),
      certificateExpiries: () => ledger.certificateExpiries(term),
      audit: () => ledger.audit(term, { actor: "a", action: "B", subject: "c" }),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      const outcome = await attempt().then(
        () => "allowed",
        (error: unknown) => (error as { code?: string }).code,
      );
      expect([name, outcome]).toEqual([name, "FENCED"]);
    }
    expect((await rival.joinRequest(requestId))?.decision).toBe("Pending");
    expect((await rival.identity(member.nodeId))?.status).toBe("Active");
    await rival.close();
  });

  it("has made each decision before the new term, or not at all", async () => {
    await ledger.putToken(term, tokenSpec());
    const rival = await openTestLedger(url);
    const joins = Array.from({ length: 40 }, () => admit().catch((error: unknown) => error));
    await admit();
    await rival.takeTerm({ holder: "second", expected: term });
    const outcomes = await Promise.all(joins);
    const fencedCount = outcomes.filter((outcome) => outcome instanceof Error).length;

    const audit = await rival.listAudit(1000);
    const taken = audit.find((row) => row.action === "TermTaken" && row.term === term + 1);
    const late = audit.filter((row) => row.term === term && row.id > (taken?.id ?? 0));
    expect(late).toEqual([]);
    expect(await rival.listJoinRequests()).toHaveLength(41 - fencedCount);
    await rival.close();
  });
});

describe("tokens", () => {
  it("give exactly as many uses as they have to 100 joins at once", async () => {
    await ledger.putToken(term, tokenSpec({ maxUses: 10 }));
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => admit()));
    const refused = results.filter((result) => result.status === "rejected");
    expect(results.length - refused.length).toBe(10);
    expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(
      Array.from({ length: 90 }, () => "TOKEN_EXHAUSTED"),
    );
    expect((await ledger.token("lab"))?.uses).toBe(10);
    expect(await ledger.listJoinRequests()).toHaveLength(10);
  });

  it("are refused when unknown, expired, revoked, or not for the role", async () => {
    await expect(admit()).rejects.toEqual(refusal("TOKEN_UNKNOWN"));
    await ledger.putToken(term, tokenSpec({ expiresAt: START }));
    await expect(admit()).rejects.toEqual(refusal("TOKEN_EXPIRED"));
    await ledger.putToken(term, tokenSpec());
    await expect(admit({ requestedRoles: ["relay", "storage"] })).rejects.toEqual(
      refusal("ROLE_NOT_ALLOWED"),
    );
    await ledger.putToken(term, tokenSpec({ revoked: true }));
    await expect(admit()).rejects.toEqual(refusal("TOKEN_REVOKED"));
    expect((await ledger.token("lab"))?.uses).toBe(0);
  });

  it("keep their hash, and their uses when their object comes back", async () => {
    await ledger.putToken(term, tokenSpec());
    await admit();
    const other = tokenSpec({ hash: "sha256:other" });
    await expect(ledger.putToken(term, other)).rejects.toEqual(refusal("TOKEN_CONFLICT"));
    await ledger.removeToken(term, "lab");
    expect(await ledger.listTokens()).toEqual([]);
    await expect(admit()).rejects.toEqual(refusal("TOKEN_UNKNOWN"));
    expect((await ledger.putToken(term, tokenSpec())).uses).toBe(1);
    await ledger.removeToken(term, "lab");
    expect((await ledger.putToken(term, other)).uses).toBe(0);
  });

  it("stay revoked when their object is deleted and made again", async () => {
    await ledger.putToken(term, tokenSpec({ revoked: true }));
    await ledger.removeToken(term, "lab");
    expect((await ledger.putToken(term, tokenSpec())).revoked).toBe(true);
    await expect(admit()).rejects.toEqual(refusal("TOKEN_REVOKED"));
  });

  it("are audited when they change, and not when the same is said again", async () => {
    await ledger.putToken(term, tokenSpec());
    await ledger.putToken(term, tokenSpec());
    await ledger.putToken(term, tokenSpec({ revoked: true }));
    const actions = (await ledger.listAudit(10)).map(({ action }) => action);
    expect(actions).toEqual(["TokenChanged", "TokenRegistered", "TermTaken"]);
  });
});

describe("a join", () => {
  beforeEach(() => ledger.putToken(term, tokenSpec({ maxUses: 5 })));

  it("is kept as it was asked", async () => {
    const input = joinInput();
    const { requestId, created } = await ledger.admitJoin(term, input);
    expect(created).toBe(true);
    expect(requestId).toBe(`${input.nodeName}-${input.fingerprint.slice(0, 8)}`);
    expect(await ledger.joinRequest(requestId)).toEqual({
      requestId,
      nodeName: input.nodeName,
      fingerprint: input.fingerprint,
      csrPem: input.csrPem,
      tokenName: input.tokenName,
      pod: null,
      requestedRoles: input.requestedRoles,
      facts: input.facts,
      capabilities: input.capabilities,
      candidates: input.candidates,
      area: "home",
      createdAt: START,
      decision: "Pending",
      decidedBy: null,
      decidedAt: null,
      reason: null,
      nodeId: null,
    });
  });

  it("of the same key is the same join, even many at once, and uses the token up once", async () => {
    const { fingerprint, nodeName } = joinInput();
    const results = await Promise.all(Array.from({ length: 20 }, () => admit({ fingerprint, nodeName })));
    expect(new Set(results.map(({ requestId }) => requestId)).size).toBe(1);
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    expect((await ledger.token("lab"))?.uses).toBe(1);
  });

  it("of the same key is found again when its token has run out", async () => {
    const { fingerprint, nodeName } = joinInput();
    const { requestId } = await admit({ fingerprint, nodeName });
    await ledger.putToken(term, tokenSpec({ maxUses: 1, expiresAt: START }));
    expect(await admit({ fingerprint, nodeName })).toEqual({ requestId, created: false });
  });

  it("played again is refused for as long as it could be believed", async () => {
    const input = joinInput();
    await ledger.admitJoin(term, input);
    clock.now += 599;
    await expect(ledger.admitJoin(term, input)).rejects.toEqual(refusal("REPLAYED"));
  });

  it("leaves nothing of a refused one behind", async () => {
    const input = joinInput({ requestedRoles: ["storage"] });
    await expect(ledger.admitJoin(term, input)).rejects.toEqual(refusal("ROLE_NOT_ALLOWED"));
    expect(await ledger.listJoinRequests()).toEqual([]);
    expect((await ledger.admitJoin(term, { ...input, requestedRoles: [] })).created).toBe(true);
  });

  describe("of a pod", () => {
    const pod = {
      namespace: "fabric",
      name: "agent-x7",
      uid: "uid-1",
      serviceAccount: "fabric-agent",
      audience: "fabric-enrolment",
      node: "worker-1",
      source: "192.0.2.1",
      fromNode: true,
    };
    const ofPod = (changes: Partial<JoinInput> = {}): JoinInput =>
      joinInput({ tokenName: null, pod: { ...pod, allowedRoles: ["relay"] }, ...changes });

    it("is kept with the pod, and takes no token", async () => {
      const { requestId } = await ledger.admitJoin(term, ofPod());
      expect(await ledger.joinRequest(requestId)).toMatchObject({ tokenName: null, area: null, pod });
      expect((await ledger.joinRequest(requestId))?.pod).toEqual(pod);
      const approved = { requestId, decision: "Approved", actor: "ann", reason: "", pools } as const;
      expect((await ledger.decideJoin(term, approved)).nodeId).toMatch(/^[0-9a-f-]{36}$/);
    });

    it("is one key's only, even many at once", async () => {
      const tries = await Promise.allSettled(
        Array.from({ length: 20 }, () => ledger.admitJoin(term, ofPod())),
      );
      const refused = tries.filter((outcome) => outcome.status === "rejected");
      expect(refused).toHaveLength(19);
      for (const { reason } of refused) expect(reason).toEqual(refusal("POD_ALREADY_USED"));
      expect(await ledger.listJoinRequests()).toHaveLength(1);
    });

    it("of a known key is the same join, whatever pod asks", async () => {
      const input = ofPod();
      const { requestId } = await ledger.admitJoin(term, input);
      const { fingerprint, nodeName } = input;
      const later = { ...pod, uid: "uid-2", allowedRoles: [] };
      expect(await ledger.admitJoin(term, ofPod({ fingerprint, nodeName, pod: later }))).toEqual({
        requestId,
        created: false,
      });
      expect((await ledger.admitJoin(term, ofPod({ pod: later, requestedRoles: [] }))).created).toBe(true);
    });

    it("that is refused does not use the pod up", async () => {
      const refused = ledger.admitJoin(term, ofPod({ requestedRoles: ["exit"] }));
      await expect(refused).rejects.toEqual(refusal("ROLE_NOT_ALLOWED"));
      expect((await ledger.admitJoin(term, ofPod())).created).toBe(true);
    });
  });

  it("under the name of a member is refused", async () => {
    const { nodeName } = await enrol();
    await expect(admit({ nodeName })).rejects.toEqual(refusal("NODE_NAME_TAKEN"));
    expect((await ledger.token("lab"))?.uses).toBe(1);
  });

  it("of a known key under another name, or a ground-out short id, is refused", async () => {
    const { fingerprint, nodeName } = joinInput();
    await admit({ fingerprint, nodeName });
    await expect(admit({ fingerprint, nodeName: "other" })).rejects.toEqual(refusal("NODE_NAME_TAKEN"));
    const ground = fingerprint.slice(0, 8) + "0".repeat(56);
    await expect(admit({ fingerprint: ground, nodeName })).rejects.toEqual(refusal("NODE_NAME_TAKEN"));
  });

  it("of a key whose membership has ended is refused", async () => {
    const { nodeId, fingerprint, nodeName } = await enrol();
    await ledger.revokeIdentity(term, { nodeId, actor: "alice", reason: "stolen" });
    await expect(admit({ fingerprint, nodeName })).rejects.toEqual(refusal("REVOKED"));
    await ledger.removeIdentity(term, { nodeId, actor: "alice", reason: "gone", ...unnamed });
    await expect(admit({ fingerprint, nodeName })).rejects.toEqual(refusal("REVOKED"));
  });
});

describe("nonces", () => {
  it("are remembered once each, and forgotten when no longer needed", async () => {
    const fingerprint = "f".repeat(64);
    for (let index = 0; index < 30; index += 1) await ledger.useNonce(fingerprint, `nonce-${index}`);
    await expect(ledger.useNonce(fingerprint, "nonce-0")).rejects.toEqual(refusal("REPLAYED"));
    await ledger.useNonce("e".repeat(64), "nonce-0");
    clock.now += 601;
    for (let index = 0; index < 4; index += 1) await ledger.useNonce(fingerprint, `later-${index}`);
    for (let index = 0; index < 30; index += 1) await ledger.useNonce(fingerprint, `nonce-${index}`);
  });
});

describe("a decision", () => {
  beforeEach(() => ledger.putToken(term, tokenSpec()));

  it("to approve makes an identity with addresses", async () => {
    const identity = await enrol();
    expect(identity).toMatchObject({
      addresses: { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
      status: "Active",
      area: "home",
      certificateNotAfter: null,
    });
    expect(await ledger.identities()).toEqual([identity]);
  });

  it("to deny keeps who and why, and makes nothing", async () => {
    const { requestId } = await admit();
    const denial = approval(requestId, { decision: "Denied", actor: "bob", reason: "stranger" });
    expect(await ledger.decideJoin(term, denial)).toMatchObject({
      decision: "Denied",
      decidedBy: "bob",
      decidedAt: START,
      reason: "stranger",
      nodeId: null,
    });
    expect(await ledger.identities()).toEqual([]);
    expect(await ledger.listJoinRequests({ decision: "Pending" })).toEqual([]);
  });

  it("is final: of many at once, one is made and all get it", async () => {
    const { requestId } = await admit();
    const decisions = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        ledger.decideJoin(
          term,
          approval(requestId, { decision: index % 2 === 0 ? "Approved" : "Denied", actor: `actor-${index}` }),
        ),
      ),
    );
    expect(new Set(decisions.map((decision) => JSON.stringify(decision))).size).toBe(1);
    const made = (await ledger.listAudit(100)).filter(({ action }) => /^Join(Approved|Denied)$/.test(action));
    expect(made).toHaveLength(1);
    expect(made[0]?.actor).toBe(decisions[0]?.decidedBy);
  });

  it("about an unknown request is refused", async () => {
    await expect(ledger.decideJoin(term, approval("nobody-00000000"))).rejects.toEqual(
      refusal("REQUEST_UNKNOWN"),
    );
  });

  it("to approve a second key under one name is refused, and that request stays pending", async () => {
    const first = await admit({ nodeName: "home-a" });
    const second = await admit({ nodeName: "home-a" });
    await ledger.decideJoin(term, approval(first.requestId));
    await expect(ledger.decideJoin(term, approval(second.requestId))).rejects.toEqual(
      refusal("NODE_NAME_TAKEN"),
    );
    expect((await ledger.joinRequest(second.requestId))?.decision).toBe("Pending");
  });

  it("gives concurrent approvals different addresses", async () => {
    const requests = await Promise.all(Array.from({ length: 20 }, () => admit()));
    await Promise.all(requests.map(({ requestId }) => ledger.decideJoin(term, approval(requestId))));
    const given = (await ledger.identities()).map(({ addresses }) => addresses.ipv4);
    const expected = Array.from({ length: 20 }, (_, index) => `100.96.0.${index + 2}`);
    expect(new Set(given)).toEqual(new Set(expected));
  });

  it("waits for an address when the pool is empty", async () => {
    // Of 4 addresses: the network's, the fabric's, one to give, broadcast.
    const tiny = { ipv4: "100.96.0.0/30", ipv6: "fd5a::/64" };
    const first = await admit();
    const second = await admit();
    const { nodeId } = await ledger.decideJoin(term, approval(first.requestId, { pools: tiny }));
    const deciding = ledger.decideJoin(term, approval(second.requestId, { pools: tiny }));
    await expect(deciding).rejects.toEqual(refusal("ADDRESS_POOL_EXHAUSTED"));
    expect((await ledger.joinRequest(second.requestId))?.decision).toBe("Pending");

    await ledger.removeIdentity(term, {
      nodeId: nodeId ?? "",
      actor: "alice",
      reason: "retired",
      ...unnamed,
    });
    await ledger.releaseAddresses(term, 0);
    const approved = await ledger.decideJoin(term, approval(second.requestId, { pools: tiny }));
    expect((await ledger.identity(approved.nodeId ?? ""))?.addresses.ipv4).toBe("100.96.0.2");
  });
});

describe("an identity", () => {
  beforeEach(() => ledger.putToken(term, tokenSpec()));

  it("once revoked stays so, for the first reason, and keeps its name", async () => {
    const { nodeId, nodeName } = await enrol();
    const revoked = await ledger.revokeIdentity(term, { nodeId, actor: "alice", reason: "stolen" });
    expect(revoked).toMatchObject({ status: "Revoked", reason: "stolen" });
    const again = await ledger.revokeIdentity(term, { nodeId, actor: "bob", reason: "other" });
    expect(again).toEqual(revoked);
    expect(await ledger.identities()).toEqual([revoked]);
    await expect(admit({ nodeName })).rejects.toEqual(refusal("NODE_NAME_TAKEN"));
  });

  it("once removed gives name and address back, and is still known", async () => {
    const { nodeId, nodeName, addresses } = await enrol();
    await ledger.removeIdentity(term, { nodeId, actor: "alice", reason: "retired", ...unnamed });
    await ledger.removeIdentity(term, { nodeId, actor: "alice", reason: "again", ...unnamed });
    expect(await ledger.identities()).toEqual([]);
    expect(await ledger.identity(nodeId)).toMatchObject({ status: "Removed", reason: "retired" });
    expect((await enrol({ nodeName })).addresses).not.toEqual(addresses);
    expect(await ledger.releaseAddresses(term, 0)).toBe(1);
    expect((await enrol()).addresses).toEqual(addresses);
    const removals = (await ledger.listAudit(100)).filter(({ action }) => action === "NodeRemoved");
    expect(removals).toHaveLength(1);
  });

  it("keeps its address from others for as long as a snapshot can name it", async () => {
    const [first, second] = [await enrol(), await enrol()];
    const removal = { actor: "alice", reason: "", epoch: 7, heldUntil: START + 100 };
    await ledger.removeIdentity(term, { ...removal, nodeId: first.nodeId });
    await ledger.removeIdentity(term, { ...removal, nodeId: second.nodeId, epoch: 9 });
    expect(await ledger.releaseAddresses(term, 6)).toBe(0);
    expect(await ledger.releaseAddresses(term, 7)).toBe(1);
    expect((await enrol()).addresses).toEqual(first.addresses);
    expect((await enrol()).addresses).not.toEqual(second.addresses);
    clock.now = START + 100;
    expect(await ledger.releaseAddresses(term, 7)).toBe(1);
    expect((await enrol()).addresses).toEqual(second.addresses);
  });

  it("removed with a good certificate must go on being refused", async () => {
    const [withOne, without] = [await enrol(), await enrol()];
    await ledger.recordCertificate(term, { ...certificate(withOne.nodeId), notAfter: START + 100 });
    for (const { nodeId } of [withOne, without])
      await ledger.removeIdentity(term, { nodeId, actor: "alice", reason: "retired", ...unnamed });
    expect(await ledger.endedIdentities()).toMatchObject([{ nodeId: withOne.nodeId, reason: "retired" }]);
    clock.now = START + 100 + 300;
    expect(await ledger.endedIdentities()).toEqual([]);
  });

  it("must exist to end", async () => {
    const ending = { nodeId: randomUUID(), actor: "alice", reason: "?" };
    await expect(ledger.revokeIdentity(term, ending)).rejects.toEqual(refusal("IDENTITY_UNKNOWN"));
    await expect(ledger.removeIdentity(term, { ...ending, ...unnamed })).rejects.toEqual(
      refusal("IDENTITY_UNKNOWN"),
    );
  });
});

describe("certificates", () => {
  beforeEach(() => ledger.putToken(term, tokenSpec()));

  it("are found by node, the latest first, and expired ones go", async () => {
    const { nodeId } = await enrol();
    expect(await ledger.latestCertificate(nodeId)).toBeUndefined();
    const first = certificate(nodeId);
    await ledger.recordCertificate(term, first);
    clock.now += 1800;
    const second = certificate(nodeId);
    await ledger.recordCertificate(term, second);
    expect(await ledger.latestCertificate(nodeId)).toEqual(second);
    expect((await ledger.identity(nodeId))?.certificateNotAfter).toBe(second.notAfter);
    clock.now = second.notAfter + 1;
    await ledger.recordCertificate(term, certificate(nodeId));
    const issued = (await ledger.listAudit(100)).filter(({ action }) => action === "CertificateIssued");
    expect(issued.map(({ detail }) => detail["serial"])).toContain(first.serial);
  });

  it("are recorded for active members only", async () => {
    const { nodeId } = await enrol();
    await expect(ledger.recordCertificate(term, certificate(randomUUID()))).rejects.toEqual(
      refusal("IDENTITY_UNKNOWN"),
    );
    await ledger.revokeIdentity(term, { nodeId, actor: "alice", reason: "stolen" });
    await expect(ledger.recordCertificate(term, certificate(nodeId))).rejects.toEqual(refusal("REVOKED"));
  });

  it("bound the snapshots of those who have one", async () => {
    const [holder, bare, revoked] = [await enrol(), await enrol(), await enrol()];
    const record = certificate(holder.nodeId);
    await ledger.recordCertificate(term, record);
    await ledger.recordCertificate(term, certificate(revoked.nodeId));
    await ledger.revokeIdentity(term, { nodeId: revoked.nodeId, actor: "alice", reason: "stolen" });
    const { authority, notAfter } = await ledger.certificateExpiries(term);
    expect(authority.term).toBe(term);
    expect(notAfter).toEqual(new Map([[holder.nodeId, record.notAfter]]));
    expect(notAfter.has(bare.nodeId)).toBe(false);
  });
});

describe("the audit", () => {
  it("holds what was decided, newest first, and what others add", async () => {
    await ledger.putToken(term, tokenSpec());
    await enrol();
    await ledger.audit(term, {
      actor: "alice",
      action: "RoleAssigned",
      subject: "node/x",
      detail: { role: "relay" },
    });
    const rows = await ledger.listAudit(100);
    expect(rows.map(({ action }) => action)).toEqual([
      "RoleAssigned",
      "JoinApproved",
      "JoinRequested",
      "TokenRegistered",
      "TermTaken",
    ]);
    expect(rows[0]).toMatchObject({ at: START, term, actor: "alice", detail: { role: "relay" } });
    expect(await ledger.listAudit(2)).toHaveLength(2);
  });
});
