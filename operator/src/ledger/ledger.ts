/**
 * The ledger: what must never be forgotten or counted twice. Identities, token hashes and their uses, join requests and
 * decisions, the authority's term and epoch, addresses, certificates, audit. Custom resources are projections of it.
 *
 * Every method is one transaction. A method that decides takes the caller's `term` and throws LedgerError FENCED unless that is
 * the term in force, checked under a lock that a new term waits for: a decision is either before the new term or refused.
 * Every method may throw LEDGER_UNAVAILABLE; asking again is always safe. Times are unix seconds.
 */
import type { Capabilities, Facts } from "@saf/protocol";

export interface Term {
  readonly term: number;
  /** Counts decisions of the whole cluster; goes on from term to term. */
  readonly epoch: number;
  /** Null before the first term. */
  readonly holder: string | null;
}

export interface TokenSpec {
  /** Name of the JoinToken, which is the token's id. */
  readonly name: string;
  /** `sha256:<salt>:<hash>`, immutable. */
  readonly hash: string;
  readonly expiresAt: number;
  readonly maxUses: number;
  readonly revoked: boolean;
  /** Roles that a join may ask for. Empty: none. */
  readonly allowedRoles: readonly string[];
  readonly area: string | null;
}

export interface Token extends TokenSpec {
  readonly uses: number;
}

/** A pod that asked with its projected service-account token, as the API server knows it. */
export interface AttestedPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly audience: string;
  /** Name of its Kubernetes Node. */
  readonly node: string;
  /** Address that it asked from. */
  readonly source: string;
  /** Whether that is an address of its Node. */
  readonly fromNode: boolean;
}

export interface JoinInput {
  /** Of the token that it came with; null when `pod` is what it came with. */
  readonly tokenName: string | null;
  readonly pod?:
    (AttestedPod & { /** That its policy allows. */ readonly allowedRoles: readonly string[] }) | null;
  readonly nodeName: string;
  readonly fingerprint: string;
  readonly csrPem: string;
  readonly requestedRoles: readonly string[];
  readonly facts: Facts;
  readonly capabilities: Capabilities;
  readonly candidates: readonly string[];
  readonly nonce: string;
  /** Address that the request came from, for the audit. */
  readonly source: string;
}

export type Decision = "Pending" | "Approved" | "Denied";

export interface JoinRequestRecord {
  /** Also the name of the JoinRequest object. */
  readonly requestId: string;
  readonly nodeName: string;
  readonly fingerprint: string;
  readonly csrPem: string;
  readonly tokenName: string | null;
  readonly pod: AttestedPod | null;
  readonly requestedRoles: readonly string[];
  /** From the token. */
  readonly area: string | null;
  readonly facts: Facts;
  readonly capabilities: Capabilities;
  readonly candidates: readonly string[];
  readonly createdAt: number;
  readonly decision: Decision;
  readonly decidedBy: string | null;
  readonly decidedAt: number | null;
  readonly reason: string | null;
  readonly nodeId: string | null;
}

export interface AddressPools {
  /** CIDRs. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface JoinDecision {
  readonly requestId: string;
  readonly decision: "Approved" | "Denied";
  /** Who, as the API server knows them. */
  readonly actor: string;
  readonly reason: string;
  readonly pools: AddressPools;
}

export type IdentityStatus = "Active" | "Revoked" | "Removed";

export interface Identity {
  readonly nodeId: string;
  readonly nodeName: string;
  readonly requestId: string;
  readonly fingerprint: string;
  readonly addresses: { readonly ipv4: string; readonly ipv6: string };
  readonly area: string | null;
  readonly status: IdentityStatus;
  /** Why it was revoked or removed. */
  readonly reason: string | null;
  readonly createdAt: number;
  /** End of its latest certificate; null before the first. */
  readonly certificateNotAfter: number | null;
}

export interface CertificateRecord {
  readonly nodeId: string;
  /** Lowercase hex. */
  readonly serial: string;
  /** PEM, leaf first. */
  readonly chainPem: readonly string[];
  readonly issuedAt: number;
  readonly notAfter: number;
}

export interface AuditEntry {
  readonly actor: string;
  /** UpperCamelCase verb phrase: `JoinApproved`. */
  readonly action: string;
  /** What it was done to: `node/<id>`, `request/<id>`, `token/<name>`, `authority`. */
  readonly subject: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface AuditRecord extends AuditEntry {
  readonly id: number;
  readonly at: number;
  readonly term: number;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface Ledger {
  /** Given when the ledger is first made; a copy of a cluster's name on another database is another ledger. */
  readonly id: string;
  readonly trustDomain: string;
  /** Ends the pool, and the embedded PostgreSQL unless another operator still uses it. */
  close(): Promise<void>;

  // Authority
  currentTerm(): Promise<Term>;
  /** Compare-and-swap: makes `expected + 1` the term in force, held by `holder`. Throws TERM_TAKEN when it is not `expected`. */
  takeTerm(input: { holder: string; expected: number }): Promise<Term>;
  /** Throws FENCED. */
  assertTerm(term: number): Promise<Term>;
  /** Returns the new epoch. Throws FENCED. */
  advanceEpoch(term: number): Promise<number>;

  // Tokens
  /** Makes or updates (all but the hash). Throws FENCED, TOKEN_CONFLICT. */
  putToken(term: number, token: TokenSpec): Promise<Token>;
  /** Its JoinToken is gone: unknown from now on. The same hash under the same name would find its uses and its revocation again. Throws FENCED. */
  removeToken(term: number, name: string): Promise<void>;
  token(name: string): Promise<Token | undefined>;
  listTokens(): Promise<Token[]>;

  // Joins
  /**
   * Admits a request as pending. The caller has checked the token's secret, or the pod, and the request's signature.
   * Idempotent by fingerprint: the same key gets its request again and uses nothing up.
   * Throws FENCED, REPLAYED, TOKEN_*, POD_ALREADY_USED, ROLE_NOT_ALLOWED, NODE_NAME_TAKEN, REVOKED.
   */
  admitJoin(term: number, input: JoinInput): Promise<{ requestId: string; created: boolean }>;
  joinRequest(requestId: string): Promise<JoinRequestRecord | undefined>;
  listJoinRequests(filter?: { decision?: Decision }): Promise<JoinRequestRecord[]>;
  /**
   * The first decision is final: a later one changes nothing and gets the first back. Approval makes the identity and takes the
   * lowest free address. Throws FENCED, REQUEST_UNKNOWN, and (request stays pending) ADDRESS_POOL_EXHAUSTED, NODE_NAME_TAKEN.
   */
  decideJoin(term: number, decision: JoinDecision): Promise<JoinRequestRecord>;
  /** Remembers a nonce of a signed request for the replay window. Throws REPLAYED. */
  useNonce(fingerprint: string, nonce: string): Promise<void>;

  // Identities
  /** Active and revoked ones, by node name. */
  identities(): Promise<Identity[]>;
  /** Removed ones too. */
  identity(nodeId: string): Promise<Identity | undefined>;
  /** Final and idempotent: the first reason stays. Throws FENCED, IDENTITY_UNKNOWN. */
  revokeIdentity(term: number, input: { nodeId: string; actor: string; reason: string }): Promise<Identity>;
  /**
   * Removed ones whose certificate is still good, give or take the skew of clocks: they must go on being refused.
   */
  endedIdentities(): Promise<Identity[]>;
  /**
   * Frees the name at once. The address is held until every member confirmed an epoch that does not name the node, or `heldUntil`,
   * when nobody can live by an older snapshot (releaseAddresses). Final and idempotent. Throws FENCED, IDENTITY_UNKNOWN.
   */
  removeIdentity(
    term: number,
    input: { nodeId: string; actor: string; reason: string; epoch: number; heldUntil: number },
  ): Promise<Identity>;
  /** Frees the addresses of removed members that no snapshot names any more; returns how many. Throws FENCED. */
  releaseAddresses(term: number, confirmedEpoch: number): Promise<number>;

  // Certificates
  /** Throws FENCED, IDENTITY_UNKNOWN, REVOKED: a certificate that is not recorded must not leave the operator. */
  recordCertificate(term: number, certificate: CertificateRecord): Promise<void>;
  latestCertificate(nodeId: string): Promise<CertificateRecord | undefined>;
  /** notAfter of the latest certificate of each active identity that has one. Throws FENCED. */
  certificateExpiries(term: number): Promise<{ authority: Term; notAfter: ReadonlyMap<string, number> }>;

  // Audit
  /** For what is decided elsewhere; the ledger's own decisions write their rows themselves. Throws FENCED. */
  audit(term: number, entry: AuditEntry): Promise<void>;
  /** Newest first. `limit` at most 1000. */
  listAudit(limit: number): Promise<AuditRecord[]>;
}
