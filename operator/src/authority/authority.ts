/**
 * The signing authority of one term: the cluster's CA and its document-signing key. It asks the ledger before every signature
 * that others will believe, so an operator whose term has passed signs nothing (LedgerError FENCED).
 * Times are unix seconds.
 */
import type { NodeSnapshotBody } from "@saf/protocol";
import type { CertificateRecord, Ledger } from "../ledger/ledger.ts";

/** Kept in the Secret `fabric-authority`, one entry each; text all of it. */
export interface AuthoritySecrets {
  readonly caKeyPem: string;
  readonly caCertificatePem: string;
  /** Ed25519. */
  readonly signingKeyPem: string;
  readonly signingKeyId: string;
  /** P-256 key of the operator's control sessions. It outlives its certificates, so nodes can pin it. */
  readonly controlKeyPem: string;
}

export interface IssuedCertificate {
  /** PEM, leaf first, the CA last. */
  readonly chainPem: readonly string[];
  readonly notAfter: number;
  readonly serial: string;
}

export interface ServerCertificate extends IssuedCertificate {
  readonly keyPem: string;
}

/** A snapshot's content; the authority adds the trust root in force. */
export type SnapshotContent = Omit<NodeSnapshotBody, "trustRoot">;

export interface SignedDocument {
  readonly jws: string;
  readonly term: number;
  readonly epoch: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface SnapshotBatch {
  /** The epoch that the contents reflect. */
  readonly epoch: number;
  readonly lifetimeSeconds: number;
  readonly snapshots: readonly SnapshotContent[];
}

export interface AuthorityInit {
  readonly secrets: AuthoritySecrets;
  readonly ledger: Ledger;
  readonly term: number;
  readonly trustDomain: string;
  /** Unix seconds. */
  readonly clock: () => number;
  /** Of node certificates; asked at each issue, so that a changed Cluster takes effect. */
  readonly nodeLifetimeSeconds: () => number;
}

export interface Authority {
  readonly term: number;
  /** base64url SHA-256 of the CA's SubjectPublicKeyInfo, as join tokens carry it. */
  readonly caPin: string;
  readonly caCertificatePem: string;
  readonly signingKeyIds: readonly string[];
  readonly control: { readonly spiffeId: string; readonly fingerprint: string; readonly keyPem: string };

  /**
   * Issues and records a certificate for an active identity.
   * Throws IdentityError CSR_INVALID, CSR_FORBIDDEN_SAN; AuthorityError CSR_KEY_MISMATCH, IDENTITY_UNKNOWN, REVOKED; LedgerError.
   */
  issueNodeCertificate(input: { nodeId: string; csrPem: string }): Promise<CertificateRecord>;
  /** For the enrolment API, with a key of its own. `hosts`: IP addresses and DNS names. Throws LedgerError. */
  issueServerCertificate(hosts: readonly string[]): Promise<ServerCertificate>;
  /** For the operator's own engine. Throws LedgerError. */
  issueControlCertificate(): Promise<IssuedCertificate>;
  /** At the epoch in force. Throws LedgerError. */
  signTrustRoot(): Promise<SignedDocument>;
  /**
   * One check of the term for the whole batch. By node id; a node that is not active or holds no valid certificate gets none,
   * and no snapshot outlives its node's certificate. Throws LedgerError, DocumentError TOO_LARGE.
   */
  signSnapshots(batch: SnapshotBatch): Promise<ReadonlyMap<string, SignedDocument>>;
}
