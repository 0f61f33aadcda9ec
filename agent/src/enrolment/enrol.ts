/**
 * Becoming a member: from a join token, or a pod's service-account token, to a checked identity.
 *
 * 1. find the pinned authority (pinned-authority.ts); nothing secret before that
 * 2. POST the join request; the same key asks the same question, so repeating it is harmless
 * 3. wait for a person's decision, for as long as it takes
 * 4. approved: check that what came back is this node's, under this authority; denied: hand back the reason
 * Any passing failure starts again at 1 after a jittered delay; what was reached (the request id) is kept.
 */
import {
  createCsr,
  operatorSpiffeId,
  pinOfSpki,
  spkiOf,
  verifyTrustRoot,
  type Capabilities,
  type Facts,
  type JoinBody,
  type JoinStatus,
  type TrustRootBody,
} from "@saf/protocol";
import { X509Certificate } from "node:crypto";
import { AgentError, EnrolmentRefused } from "../errors.ts";
import { checkCertificate } from "../identity/certificate.ts";
import type { JoinAttempt, Membership } from "../identity/membership.ts";
import type { NodeKey } from "../identity/node-key.ts";
import { backoffMs, type Backoff } from "../schedule/backoff.ts";
import { nowSeconds, type Clock } from "../schedule/clock.ts";
import { createEnrolmentClient, type EnrolmentClient } from "./enrolment-client.ts";
import { findPinnedAuthority, type PinnedAuthority } from "./pinned-authority.ts";
import { endsJoin } from "./retry-policy.ts";
import type { ServiceAccount } from "./service-account.ts";
import { parseServerAddress } from "./server-address.ts";

export interface EnrolComponents {
  readonly nodeName: string;
  readonly key: NodeKey;
  readonly facts: () => Facts;
  readonly capabilities: Capabilities;
  readonly candidates: () => readonly string[];
  /** For an attempt without a join token. */
  readonly serviceAccount: ServiceAccount | null;
  readonly clock: Clock;
  readonly random: () => number;
  /** The server took the request; called before the wait begins. */
  readonly onAccepted: (requestId: string) => Promise<void>;
  /** Keeps what was approved; throwing a passing failure (a full disk) starts another attempt, which brings the same. */
  readonly onApproved: (membership: Membership, trustRoot: string) => Promise<void>;
  /** A passing failure; another attempt follows. */
  readonly onRetry: (error: unknown) => void;
}

export type Enrolled =
  { readonly decision: "denied"; readonly reason: string } | { readonly decision: "approved" };

type Decision = Exclude<JoinStatus, { state: "pending" }>;
type Approval = Extract<JoinStatus, { state: "approved" }>;

/** At once for a server that blinked, twice a minute for one that is away for the night. */
const RETRY: Backoff = { baseMs: 500, capMs: 30_000 };

/** The server does the waiting; this bounds the rate at one that does not. */
const POLL_PAUSE_MS = 250;

/** Throws what ended the join (retry-policy.ts), DocumentError for an unusable trust root, or the signal's reason. */
export async function enrol(
  attempt: JoinAttempt,
  components: EnrolComponents,
  signal: AbortSignal,
): Promise<Enrolled> {
  const { clock, random, onRetry } = components;
  const startedMs = clock.elapsedMs();
  let { requestId } = attempt;
  for (let failures = 0; ; failures += 1) {
    try {
      return await attemptOnce({ ...attempt, requestId }, components, signal, (accepted) => {
        requestId = accepted;
        failures = 0;
      });
    } catch (error) {
      signal.throwIfAborted();
      const elapsedMs = clock.elapsedMs() - startedMs;
      const byToken = attempt.tokenId !== null;
      if (endsJoin(error, { accepted: requestId !== null, byToken, elapsedMs })) throw error;
      if (error instanceof EnrolmentRefused && error.code === "NOT_FOUND") requestId = null; // ask again from the start
      onRetry(error);
    }
    await clock.sleep(backoffMs(failures, RETRY, random), signal);
  }
}

async function attemptOnce(
  attempt: JoinAttempt,
  components: EnrolComponents,
  signal: AbortSignal,
  onAccepted: (requestId: string) => void,
): Promise<Enrolled> {
  const { key, clock } = components;
  const server = parseServerAddress(attempt.server);
  const pin = attempt.pin ?? (await serviceAccountOf(components).pin());
  const authority = await findPinnedAuthority(server, pin, clock.nowMs(), signal);
  const client = createEnrolmentClient({ server, authority, privateKey: key.privateKey, clock });
  try {
    const requestId = attempt.requestId ?? (await ask(client, attempt, authority, components, signal));
    onAccepted(requestId);
    if (attempt.requestId === null) await components.onAccepted(requestId);
    const decision = await decisionOf(client, requestId, components, signal);
    if (decision.state === "denied") return { decision: "denied", reason: decision.reason };
    await components.onApproved(...(await checkApproval(decision, authority, pin, components)));
    return { decision: "approved" };
  } finally {
    client.close();
  }
}

async function ask(
  client: EnrolmentClient,
  attempt: JoinAttempt,
  authority: PinnedAuthority,
  components: EnrolComponents,
  signal: AbortSignal,
): Promise<string> {
  const { nodeName, key, facts, capabilities, candidates } = components;
  const accepted = await client.join(
    {
      trustDomain: authority.trustDomain,
      ...(await proofFor(attempt, components)),
      nodeName,
      csr: await createCsr(key.pem, nodeName),
      facts: facts(),
      capabilities,
      requestedRoles: attempt.requestedRoles,
      candidates: [...candidates()],
    },
    signal,
  );
  return accepted.requestId;
}

async function proofFor(
  { tokenId, secret }: JoinAttempt,
  components: EnrolComponents,
): Promise<Pick<JoinBody, "tokenId" | "secret" | "serviceAccountToken">> {
  if (tokenId === null) return { serviceAccountToken: await serviceAccountOf(components).token() };
  if (secret !== null) return { tokenId, secret };
  throw new AgentError("TOKEN_UNREADABLE", "the token was already used and forgotten");
}

function serviceAccountOf({ serviceAccount }: EnrolComponents): ServiceAccount {
  if (serviceAccount) return serviceAccount;
  throw new AgentError("TOKEN_UNREADABLE", "the configuration names no service-account token any more");
}

async function decisionOf(
  client: EnrolmentClient,
  requestId: string,
  { clock }: EnrolComponents,
  signal: AbortSignal,
): Promise<Decision> {
  for (;;) {
    const status = await client.wait(requestId, signal);
    if (status.state !== "pending") return status;
    await clock.sleep(POLL_PAUSE_MS, signal);
  }
}

/** The membership and the signed trust root, if they are this node's and under the pinned authority. */
async function checkApproval(
  approval: Approval,
  authority: PinnedAuthority,
  pin: string,
  { key, clock }: EnrolComponents,
): Promise<[Membership, string]> {
  requireSameCluster(approval, authority);
  const now = nowSeconds(clock);
  const { trustDomain, nodeId, certificateChain, control, trustRoot } = approval;
  const { body } = await verifyTrustRoot(trustRoot, { cluster: trustDomain, now });
  requirePinned(body, pin);
  const { fingerprint } = key;
  const { caCertificates } = body;
  checkCertificate(certificateChain, { trustDomain, nodeId, fingerprint, caCertificates, nowSeconds: now });
  return [{ trustDomain, nodeId, fingerprint, certificateChain, control, revoked: null }, trustRoot];
}

function requireSameCluster({ trustDomain, control }: Approval, authority: PinnedAuthority): void {
  if (trustDomain !== authority.trustDomain || control.spiffeId !== operatorSpiffeId(trustDomain)) {
    throw new AgentError("MEMBERSHIP_INVALID", "approved for another fabric cluster than the server's own");
  }
}

function requirePinned({ caCertificates }: TrustRootBody, pin: string): void {
  const pins = caCertificates.map((pem) => pinOfSpki(spkiOf(new X509Certificate(pem).publicKey)));
  if (!pins.includes(pin))
    throw new AgentError("MEMBERSHIP_INVALID", "the trust root lacks the pinned authority");
}
