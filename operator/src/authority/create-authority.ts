/** The authority of one term: see authority.ts for what it promises. */
import { createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import {
  EVERY_NODE,
  fingerprintOfKey,
  operatorSpiffeId,
  pinOfSpki,
  rawEd25519,
  signDocument,
  spiffeIdOfNode,
  spkiOf,
  verifyCsr,
  type DocumentType,
  type TrustRootBody,
} from "@saf/protocol";
import type { CertificateRecord, Term } from "../ledger/ledger.ts";
import { pemOf, readAuthoritySecrets } from "./authority-secrets.ts";
import type {
  Authority,
  AuthorityInit,
  IssuedCertificate,
  ServerCertificate,
  SignedDocument,
  SnapshotBatch,
} from "./authority.ts";
import { createIssuer, EITHER_END, SERVER_ONLY, type Certificate } from "./certificate-issuer.ts";
import { AuthorityError } from "./errors.ts";

/** The operator renews its own certificates while it leads; a day is longer than any hand-over. */
const OPERATOR_CERTIFICATE_SECONDS = 86_400;
/** Longer than any snapshot or node certificate may live, so that a node alone never loses the root before them. */
const TRUST_ROOT_SECONDS = 90 * 86_400;

/** Throws AuthorityError SECRETS_INVALID. */
export async function createAuthority(init: AuthorityInit): Promise<Authority> {
  const { ledger, term, trustDomain, clock } = init;
  const keys = readAuthoritySecrets(init.secrets, trustDomain);
  const issuer = await createIssuer(keys.caKey, keys.caCertificatePem);
  const controlSpiffeId = operatorSpiffeId(trustDomain);
  const signingKey = { kid: keys.signingKeyId, privateKey: keys.signingKey };
  const trustRootBody: TrustRootBody = {
    trustDomain,
    ledgerId: ledger.id,
    caCertificates: [keys.caCertificatePem],
    signingKeys: [{ kid: keys.signingKeyId, publicKey: rawEd25519(createPublicKey(keys.signingKey)) }],
  };

  const withChain = ({ pem, notAfter, serial }: Certificate): IssuedCertificate => ({
    chainPem: [pem, keys.caCertificatePem],
    notAfter,
    serial,
  });

  const issueNodeCertificate: Authority["issueNodeCertificate"] = async ({ nodeId, csrPem }) => {
    const { publicKey, fingerprint } = await verifyCsr(csrPem);
    await requireMember(init, nodeId, fingerprint);
    const issuedAt = clock();
    const certificate = await issuer.issue({
      commonName: nodeId,
      publicKey,
      names: [{ type: "url", value: spiffeIdOfNode(trustDomain, nodeId) }],
      usages: EITHER_END,
      now: issuedAt,
      lifetimeSeconds: init.nodeLifetimeSeconds(),
    });
    const record: CertificateRecord = { nodeId, issuedAt, ...withChain(certificate) };
    await ledger.recordCertificate(term, record);
    return record;
  };

  const issueServerCertificate = async (hosts: readonly string[]): Promise<ServerCertificate> => {
    await ledger.assertTerm(term);
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const certificate = await issuer.issue({
      commonName: `${trustDomain} enrolment`,
      publicKey,
      // The SPIFFE name is what a joiner asks for: it knows the authority by its pin, and may have been told any address.
      names: [
        { type: "url", value: controlSpiffeId },
        ...hosts.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ],
      usages: SERVER_ONLY,
      now: clock(),
      lifetimeSeconds: OPERATOR_CERTIFICATE_SECONDS,
    });
    return { ...withChain(certificate), keyPem: pemOf(privateKey) };
  };

  const issueControlCertificate = async (): Promise<IssuedCertificate> => {
    await ledger.assertTerm(term);
    const certificate = await issuer.issue({
      commonName: `${trustDomain} operator`,
      publicKey: createPublicKey(keys.controlKey),
      names: [{ type: "url", value: controlSpiffeId }],
      usages: EITHER_END,
      now: clock(),
      lifetimeSeconds: OPERATOR_CERTIFICATE_SECONDS,
    });
    return withChain(certificate);
  };

  const sign = async (
    type: DocumentType,
    scope: string,
    body: unknown,
    order: { epoch: number; issuedAt: number; expiresAt: number },
  ): Promise<SignedDocument> => {
    const jws = await signDocument(type, { cluster: trustDomain, term, ...order, scope, body }, signingKey);
    return { jws, term, ...order };
  };

  const signTrustRootAt = ({ epoch }: Pick<Term, "epoch">): Promise<SignedDocument> => {
    const issuedAt = clock();
    const expiresAt = Math.min(issuedAt + TRUST_ROOT_SECONDS, issuer.certificate.notAfter);
    return sign("saf-trust-root", EVERY_NODE, trustRootBody, { epoch, issuedAt, expiresAt });
  };

  const signSnapshots = async ({
    epoch,
    lifetimeSeconds,
    snapshots,
  }: SnapshotBatch): Promise<ReadonlyMap<string, SignedDocument>> => {
    const { authority, notAfter } = await ledger.certificateExpiries(term);
    const { jws: trustRoot } = await signTrustRootAt(authority);
    const issuedAt = clock();
    const signed = new Map<string, SignedDocument>();
    for (const content of snapshots) {
      const expiresAt = Math.min(issuedAt + lifetimeSeconds, notAfter.get(content.nodeId) ?? 0);
      if (expiresAt <= issuedAt) continue;
      const order = { epoch, issuedAt, expiresAt };
      const body = { ...content, trustRoot };
      signed.set(content.nodeId, await sign("saf-node-snapshot", content.nodeId, body, order));
    }
    return signed;
  };

  return {
    term,
    caPin: pinOfSpki(spkiOf(new X509Certificate(keys.caCertificatePem).publicKey)),
    caCertificatePem: keys.caCertificatePem,
    signingKeyIds: [keys.signingKeyId],
    control: {
      spiffeId: controlSpiffeId,
      fingerprint: fingerprintOfKey(keys.controlKey),
      keyPem: pemOf(keys.controlKey),
    },
    issueNodeCertificate,
    issueServerCertificate,
    issueControlCertificate,
    signTrustRoot: async () => signTrustRootAt(await ledger.assertTerm(term)),
    signSnapshots,
  };
}

async function requireMember({ ledger }: AuthorityInit, nodeId: string, fingerprint: string): Promise<void> {
  const identity = await ledger.identity(nodeId);
  if (!identity || identity.status === "Removed")
    throw new AuthorityError("IDENTITY_UNKNOWN", `no member ${nodeId}`);
  if (identity.status === "Revoked") throw new AuthorityError("REVOKED", `${identity.nodeName} is revoked`);
  if (identity.fingerprint !== fingerprint)
    throw new AuthorityError(
      "CSR_KEY_MISMATCH",
      `the request is for another key than ${identity.nodeName}'s`,
    );
}
