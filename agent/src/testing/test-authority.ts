/** For tests: a fabric cluster's authority in memory. It signs what an operator would, and what no operator should. */
import { createPublicKey, generateKeyPairSync, randomUUID, webcrypto, type KeyObject } from "node:crypto";
import * as x509 from "@peculiar/x509";
import {
  EVERY_NODE,
  fingerprintOfKey,
  importKeyPair,
  operatorSpiffeId,
  pinOfSpki,
  rawEd25519,
  signDocument,
  spiffeIdOfNode,
  spkiOf,
  verifyCsr,
  type ControlIdentity,
  type DocumentPayload,
  type NodeSnapshotBody,
  type SigningKey,
} from "@saf/protocol";

const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;
x509.cryptoProvider.set(webcrypto);

export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export type SnapshotOverrides = Partial<Omit<DocumentPayload<NodeSnapshotBody>, "body">> & {
  readonly body?: Partial<NodeSnapshotBody>;
  readonly signingKey?: SigningKey;
};

export interface TestAuthority {
  readonly trustDomain: string;
  readonly pin: string;
  readonly caCertificatePem: string;
  readonly signingKey: SigningKey;
  readonly control: ControlIdentity;
  issue(publicKey: KeyObject, uri: string, lifetime?: Lifetime): Promise<string>;
  issueServer(uri?: string, lifetime?: Lifetime): Promise<IssuedCertificate>;
  issueForCsr(csr: string, nodeId: string, lifetime?: Lifetime): Promise<string>;
  trustRoot(order?: Partial<DocumentPayload<unknown>>): Promise<string>;
  snapshot(nodeId: string, overrides?: SnapshotOverrides): Promise<string>;
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

export function newSigningKey(kid: string): SigningKey {
  return { kid, privateKey: generateKeyPairSync("ed25519").privateKey };
}

function around(nowMs: number): Lifetime {
  return { notBefore: new Date(nowMs - HOUR_MS), notAfter: new Date(nowMs + HOUR_MS) };
}

/** @param nowMs everything it makes is valid an hour either way, unless told otherwise */
export async function createTestAuthority(
  trustDomain = "demo.example",
  nowMs: number = Date.now(),
): Promise<TestAuthority> {
  const caKey = newKey();
  const caKeys = await importKeyPair(caKey);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${trustDomain} test authority`,
    keys: caKeys,
    signingAlgorithm: SIGNING,
    ...around(nowMs),
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const signingKey = newSigningKey("signing-1");
  const caCertificatePem = ca.toString("pem");
  const ledgerId = randomUUID();
  const control = {
    endpoints: ["192.0.2.1:7443"],
    spiffeId: operatorSpiffeId(trustDomain),
    fingerprint: fingerprintOfKey(newKey()),
  };
  const nowSeconds = Math.floor(nowMs / 1000);
  const order = {
    cluster: trustDomain,
    term: 1,
    epoch: 1,
    issuedAt: nowSeconds,
    expiresAt: nowSeconds + 3600,
  };

  async function issue(publicKey: KeyObject, uri: string, lifetime = around(nowMs)): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      subject: "CN=issued",
      issuer: ca.subject,
      signingKey: caKeys.privateKey,
      publicKey: await webcrypto.subtle.importKey("spki", spkiOf(publicKey), SIGNING, true, ["verify"]),
      signingAlgorithm: SIGNING,
      ...lifetime,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "url", value: uri }])],
    });
    return certificate.toString("pem");
  }

  async function issueServer(uri = control.spiffeId, lifetime = around(nowMs)): Promise<IssuedCertificate> {
    const key = newKey();
    const certificatePem = await issue(createPublicKey(key), uri, lifetime);
    return { certificatePem, keyPem: key.export({ type: "pkcs8", format: "pem" }) as string };
  }

  async function issueForCsr(csr: string, nodeId: string, lifetime?: Lifetime): Promise<string> {
    return issue((await verifyCsr(csr)).publicKey, spiffeIdOfNode(trustDomain, nodeId), lifetime);
  }

  async function trustRoot(overrides: Partial<DocumentPayload<unknown>> = {}): Promise<string> {
    const publicKey = rawEd25519(createPublicKey(signingKey.privateKey));
    const signingKeys = [{ kid: signingKey.kid, publicKey }];
    const body = { trustDomain, ledgerId, caCertificates: [caCertificatePem], signingKeys };
    return signDocument("saf-trust-root", { ...order, scope: EVERY_NODE, body, ...overrides }, signingKey);
  }

  async function snapshot(nodeId: string, overrides: SnapshotOverrides = {}): Promise<string> {
    const { body: bodyOverrides, signingKey: otherKey, ...payload } = overrides;
    const body: NodeSnapshotBody = {
      nodeId,
      nodeName: "home-a",
      roles: ["mobile-edge"],
      addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
      pools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
      mtu: 1280,
      control,
      peers: [],
      revoked: [],
      zone: "demo.fabric.internal",
      trafficRules: [{ class: "bulk" }],
      trustRoot: await trustRoot(),
      ...bodyOverrides,
    };
    return signDocument(
      "saf-node-snapshot",
      { ...order, scope: nodeId, ...payload, body },
      otherKey ?? signingKey,
    );
  }

  return {
    trustDomain,
    pin: pinOfSpki(Buffer.from(ca.publicKey.rawData)),
    caCertificatePem,
    signingKey,
    control,
    issue,
    issueServer,
    issueForCsr,
    trustRoot,
    snapshot,
  };
}
