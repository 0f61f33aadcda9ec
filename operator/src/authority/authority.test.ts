/** What authority.ts promises: certificates and documents that others can check, and none after its term. */
import { createPublicKey, X509Certificate } from "node:crypto";
import {
  createCsr,
  EVERY_NODE,
  fingerprintOfKey,
  nodeSnapshotBody,
  pinOfSpki,
  signingKeysOf,
  spkiOf,
  verifyDocument,
  verifyTrustRoot,
} from "@saf/protocol";
import {
  startTestPostgres,
  START,
  TRUST_DOMAIN,
  type TestPostgres,
} from "../ledger/testing/test-postgres.ts";
import type { Identity } from "../ledger/ledger.ts";
import { unnamed } from "../ledger/testing/join-input.ts";
import { generateAuthoritySecrets, readAuthoritySecrets } from "./authority-secrets.ts";
import type { AuthoritySecrets, SnapshotContent } from "./authority.ts";
import {
  addToken,
  approveNode,
  createTestFabric,
  createTestNode,
  NODE_LIFETIME_SECONDS,
  type TestFabric,
  type TestNode,
} from "./testing/test-fabric.ts";

let postgres: TestPostgres;
let fabric: TestFabric;
let node: TestNode;
let identity: Identity;
let csrPem: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  fabric = await createTestFabric(postgres);
  await addToken(fabric);
  node = createTestNode();
  identity = await approveNode(fabric, node);
  csrPem = await createCsr(node.keyPem, "a-name-nobody-believes");
});
afterEach(() => fabric.ledger.close());

function parse(pem: string | undefined): X509Certificate {
  return new X509Certificate(pem ?? "");
}

function secondsOf(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

function snapshotOf({ nodeId, nodeName, addresses }: Identity): SnapshotContent {
  return {
    nodeId,
    nodeName,
    roles: ["relay"],
    addresses,
    pools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
    mtu: 1280,
    control: { endpoints: ["192.0.2.1:7443"], ...controlOf(fabric) },
    peers: [],
    revoked: [],
    trafficRules: [],
  };
}

function controlOf({ authority }: TestFabric): { spiffeId: string; fingerprint: string } {
  const { spiffeId, fingerprint } = authority.control;
  return { spiffeId, fingerprint };
}

describe("a node certificate", () => {
  it("names the node by its id alone, for its own key, under the CA", async () => {
    const { chainPem } = await fabric.authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem });
    const [leaf, ca] = chainPem.map(parse);
    expect(leaf?.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}/node/${identity.nodeId}`);
    expect(leaf?.subject).toBe(`CN=${identity.nodeId}`);
    expect(leaf?.ca).toBe(false);
    expect(fingerprintOfKey(leaf?.publicKey ?? node.key)).toBe(node.fingerprint);
    // clientAuth and serverAuth (RFC 5280 §4.2.1.12).
    expect(new Set(leaf?.keyUsage)).toEqual(new Set(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]));
    expect(ca?.raw).toEqual(parse(fabric.authority.caCertificatePem).raw);
    expect(leaf?.checkIssued(ca as X509Certificate)).toBe(true);
    expect(leaf?.verify((ca as X509Certificate).publicKey)).toBe(true);
  });

  it("starts a clock skew early, ends as the Cluster says, and is recorded", async () => {
    const issued = await fabric.authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem });
    const leaf = parse(issued.chainPem[0]);
    expect(secondsOf(leaf.validFromDate)).toBe(START - 300);
    expect(secondsOf(leaf.validToDate)).toBe(START + NODE_LIFETIME_SECONDS);
    expect(issued.notAfter).toBe(START + NODE_LIFETIME_SECONDS);
    expect(leaf.serialNumber.toLowerCase()).toBe(issued.serial);
    expect(await fabric.ledger.latestCertificate(identity.nodeId)).toEqual(issued);
  });

  it("is refused for another key, an unknown, a removed and a revoked node", async () => {
    const { nodeId } = identity;
    const issue = (id: string, csr: string): Promise<unknown> =>
      fabric.authority.issueNodeCertificate({ nodeId: id, csrPem: csr });
    const otherCsr = await createCsr(createTestNode().keyPem, node.name);
    await expect(issue(nodeId, otherCsr)).rejects.toMatchObject({ code: "CSR_KEY_MISMATCH" });
    const nobody = "00000000-0000-4000-8000-000000000000";
    await expect(issue(nobody, csrPem)).rejects.toMatchObject({ code: "IDENTITY_UNKNOWN" });
    const ending = { nodeId, actor: "alice", reason: "stolen" };
    await fabric.ledger.revokeIdentity(fabric.term, ending);
    await expect(issue(nodeId, csrPem)).rejects.toMatchObject({ code: "REVOKED" });
    await fabric.ledger.removeIdentity(fabric.term, { ...ending, ...unnamed });
    await expect(issue(nodeId, csrPem)).rejects.toMatchObject({ code: "IDENTITY_UNKNOWN" });
    await expect(issue(nodeId, "no request")).rejects.toMatchObject({ code: "CSR_INVALID" });
  });
});

describe("the CA", () => {
  it("may sign certificates one level deep, for its own trust domain", () => {
    const ca = parse(fabric.authority.caCertificatePem);
    expect(ca.ca).toBe(true);
    expect(ca.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}`);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(fabric.authority.caPin).toBe(pinOfSpki(spkiOf(ca.publicKey)));
  });

  it("is outlived by nothing it signs", async () => {
    const ca = parse(fabric.authority.caCertificatePem);
    fabric.clock.now = secondsOf(ca.validToDate) - 60;
    const issued = await fabric.authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem });
    expect(issued.notAfter).toBe(secondsOf(ca.validToDate));
    const root = await fabric.authority.signTrustRoot();
    expect(root.expiresAt).toBe(secondsOf(ca.validToDate));
  });
});

describe("the operator's own certificates", () => {
  it("of the enrolment API carry its hosts, a key of its own, and the CA for the pin", async () => {
    const issued = await fabric.authority.issueServerCertificate([
      "192.0.2.1",
      "2001:db8::1",
      "join.example",
    ]);
    const [leaf, ca] = issued.chainPem.map(parse);
    expect(leaf?.checkIP("192.0.2.1")).toBe("192.0.2.1");
    expect(leaf?.checkIP("2001:db8::1")).toBe("2001:db8::1");
    expect(leaf?.checkHost("join.example")).toBe("join.example");
    expect(leaf?.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(pinOfSpki(spkiOf((ca as X509Certificate).publicKey))).toBe(fabric.authority.caPin);
    expect(fingerprintOfKey(createPublicKey(issued.keyPem))).not.toBe(fabric.authority.control.fingerprint);
  });

  it("of control sessions keep the pinned key", async () => {
    const [first, second] = [
      await fabric.authority.issueControlCertificate(),
      await fabric.authority.issueControlCertificate(),
    ];
    for (const { chainPem } of [first, second]) {
      const leaf = parse(chainPem[0]);
      expect(leaf.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}/operator/control`);
      expect(fingerprintOfKey(leaf.publicKey)).toBe(fabric.authority.control.fingerprint);
    }
    expect(first.serial).not.toBe(second.serial);
  });
});

describe("documents", () => {
  it("a trust root proves itself and names ledger, CA and keys", async () => {
    await fabric.ledger.advanceEpoch(fabric.term);
    const { jws, term, epoch } = await fabric.authority.signTrustRoot();
    const root = await verifyTrustRoot(jws, { cluster: TRUST_DOMAIN, now: START });
    expect(root).toMatchObject({ term, epoch, scope: EVERY_NODE });
    expect([term, epoch]).toEqual([fabric.term, 1]);
    expect(root.body).toMatchObject({
      trustDomain: TRUST_DOMAIN,
      ledgerId: fabric.ledger.id,
      caCertificates: [fabric.authority.caCertificatePem],
    });
    expect(root.body.signingKeys.map(({ kid }) => kid)).toEqual(fabric.authority.signingKeyIds);
  });

  it("a snapshot is believed by its node through the trust root it carries", async () => {
    await fabric.authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem });
    const epoch = await fabric.ledger.advanceEpoch(fabric.term);
    const content = snapshotOf(identity);
    const signed = await fabric.authority.signSnapshots({
      epoch,
      lifetimeSeconds: 3600,
      snapshots: [content],
    });
    const { jws = "" } = signed.get(identity.nodeId) ?? {};
    const root = await verifyTrustRoot((await fabric.authority.signTrustRoot()).jws, {
      cluster: TRUST_DOMAIN,
      now: START,
    });
    const { body, ...payload } = await verifyDocument(jws, {
      type: "saf-node-snapshot",
      cluster: TRUST_DOMAIN,
      scope: identity.nodeId,
      body: nodeSnapshotBody,
      keys: signingKeysOf(root.body),
      now: START,
    });
    expect(payload).toMatchObject({ term: fabric.term, epoch, issuedAt: START, expiresAt: START + 3600 });
    const { trustRoot, ...rest } = body;
    expect(rest).toEqual(content);
    const carried = await verifyTrustRoot(trustRoot, {
      cluster: TRUST_DOMAIN,
      now: START,
      previous: root.body,
    });
    expect(carried.body).toEqual(root.body);
  });

  it("a snapshot never outlives its node's certificate, and a node without one gets none", async () => {
    const { notAfter } = await fabric.authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem });
    const bare = await approveNode(fabric, createTestNode());
    const snapshots = [snapshotOf(identity), snapshotOf(bare)];
    fabric.clock.now = notAfter - 60;
    const batch = { epoch: 0, lifetimeSeconds: 3600, snapshots };
    const signed = await fabric.authority.signSnapshots(batch);
    expect([...signed.keys()]).toEqual([identity.nodeId]);
    expect(signed.get(identity.nodeId)?.expiresAt).toBe(notAfter);
    fabric.clock.now = notAfter;
    expect((await fabric.authority.signSnapshots(batch)).size).toBe(0);
  });

  it("a revoked node gets no snapshot", async () => {
    const { nodeId } = identity;
    await fabric.authority.issueNodeCertificate({ nodeId, csrPem });
    await fabric.ledger.revokeIdentity(fabric.term, { nodeId, actor: "alice", reason: "stolen" });
    const batch = { epoch: 0, lifetimeSeconds: 3600, snapshots: [snapshotOf(identity)] };
    expect((await fabric.authority.signSnapshots(batch)).size).toBe(0);
  });
});

describe("a deposed operator", () => {
  it("signs nothing", async () => {
    const { authority, ledger, term } = fabric;
    await ledger.takeTerm({ holder: "second", expected: term });
    const batch = { epoch: 0, lifetimeSeconds: 3600, snapshots: [snapshotOf(identity)] };
    const attempts = [
      authority.issueNodeCertificate({ nodeId: identity.nodeId, csrPem }),
      authority.issueServerCertificate(["192.0.2.1"]),
      authority.issueControlCertificate(),
      authority.signTrustRoot(),
      authority.signSnapshots(batch),
    ];
    for (const outcome of await Promise.allSettled(attempts))
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "FENCED" } });
    expect(await ledger.latestCertificate(identity.nodeId)).toBeUndefined();
  });
});

describe("secrets", () => {
  it("are checked, part by part, and never repeated in an error", async () => {
    const { secrets } = fabric;
    const other = await generateAuthoritySecrets(TRUST_DOMAIN, START);
    const foreign = await generateAuthoritySecrets("other.example", START);
    const damaged: Partial<AuthoritySecrets>[] = [
      { caKeyPem: "junk" },
      { caKeyPem: other.caKeyPem },
      { caKeyPem: secrets.signingKeyPem },
      { caCertificatePem: "junk" },
      { signingKeyPem: secrets.caKeyPem },
      { signingKeyPem: other.signingKeyPem },
      { signingKeyId: "another" },
      { controlKeyPem: "" },
      foreign,
    ];
    expect(readAuthoritySecrets(secrets, TRUST_DOMAIN).signingKeyId).toBe(secrets.signingKeyId);
    for (const parts of damaged) {
      const read = (): unknown => readAuthoritySecrets({ ...secrets, ...parts }, TRUST_DOMAIN);
      expect(read).toThrow(expect.objectContaining({ name: "AuthorityError", code: "SECRETS_INVALID" }));
      expect(read).not.toThrow(/PRIVATE KEY/);
    }
  });
});
