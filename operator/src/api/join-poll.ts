/**
 * `GET /v1alpha1/join/<request id>?waitSeconds=n`: what became of a request, told only to the key that made it.
 * The first poll after approval issues the node's certificate; a retry gets the same one while it is fresh.
 */
import {
  JOIN_PATH,
  MAX_WAIT_SECONDS,
  requestIdPattern,
  verifyCsr,
  type ControlIdentity,
  type JoinStatus,
} from "@saf/protocol";
import type { Authority } from "../authority/authority.ts";
import type { CertificateRecord, JoinRequestRecord, Ledger } from "../ledger/ledger.ts";
import { EnrolmentError } from "./errors.ts";
import { requireDatedSignature, requireSignedBy } from "./signed-request.ts";
import type { WaitingPolls } from "./waiting-polls.ts";

/** As the JoinRequest schema bounds it. */
const MAX_REASON = 256;

export interface JoinPollInit {
  readonly ledger: Ledger;
  readonly authority: Authority;
  readonly trustDomain: string;
  readonly clock: () => number;
  readonly waiting: WaitingPolls;
  readonly control: () => ControlIdentity;
}

export interface PollCall {
  readonly requestId: string;
  /** As sent, or undefined. */
  readonly waitSeconds: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Path and query as sent. */
  readonly target: string;
  /** The client has gone away. */
  readonly gone: AbortSignal;
}

export type JoinPoll = (call: PollCall) => Promise<JoinStatus>;

export function createJoinPoll(init: JoinPollInit): JoinPoll {
  const certificates = createCertificateDesk(init);
  return async (call) => {
    const waitSeconds = parseWait(call.waitSeconds);
    await requireOwner(init, call);
    const poll = init.waiting.wait(call.requestId, waitSeconds * 1000, call.gone);
    try {
      const first = await readRequest(init.ledger, call.requestId);
      if (first.decision !== "Pending") return await statusOf(init, certificates, first);
      await poll.over;
    } finally {
      poll.end();
    }
    return statusOf(init, certificates, await readRequest(init.ledger, call.requestId));
  };
}

function parseWait(waitSeconds: unknown): number {
  if (waitSeconds === undefined) return 0;
  if (typeof waitSeconds !== "string" || !/^\d{1,3}$/.test(waitSeconds))
    throw new EnrolmentError("BODY_INVALID", "waitSeconds is a whole number of seconds");
  return Math.min(Number(waitSeconds), MAX_WAIT_SECONDS);
}

/** To everyone but the request's key it does not exist. Throws SIGNATURE_INVALID, TIMESTAMP_OUT_OF_RANGE, NOT_FOUND, REPLAYED. */
async function requireOwner({ ledger, clock }: JoinPollInit, call: PollCall): Promise<void> {
  const signature = requireDatedSignature(call.headers, clock());
  const request = await readRequest(ledger, call.requestId);
  if (request.fingerprint !== signature.fingerprint) throw notFound();
  const { publicKey } = await verifyCsr(request.csrPem);
  requireSignedBy(publicKey, { method: "GET", target: call.target, body: "" }, signature);
  await ledger.useNonce(signature.fingerprint, signature.nonce);
}

async function readRequest(ledger: Ledger, requestId: string): Promise<JoinRequestRecord> {
  const request = requestIdPattern.test(requestId) ? await ledger.joinRequest(requestId) : undefined;
  if (!request) throw notFound();
  return request;
}

function notFound(): EnrolmentError {
  return new EnrolmentError("NOT_FOUND", `no such request of yours under ${JOIN_PATH}`);
}

async function statusOf(
  { ledger, authority, trustDomain, control }: JoinPollInit,
  certificates: CertificateDesk,
  request: JoinRequestRecord,
): Promise<JoinStatus> {
  if (request.decision === "Pending") return { state: "pending" };
  if (request.nodeId === null) return denied(request.reason ?? "");
  const identity = await ledger.identity(request.nodeId);
  if (identity?.status !== "Active") return denied(`no longer a member: ${identity?.reason ?? "removed"}`);
  const { chainPem } = await certificates.forNode(identity.nodeId, request.csrPem);
  const { jws } = await authority.signTrustRoot();
  return {
    state: "approved",
    nodeId: identity.nodeId,
    trustDomain,
    certificateChain: [...chainPem],
    trustRoot: jws,
    control: control(),
  };
}

function denied(reason: string): JoinStatus {
  return { state: "denied", reason: reason.slice(0, MAX_REASON) };
}

interface CertificateDesk {
  forNode(nodeId: string, csrPem: string): Promise<CertificateRecord>;
}

/** One certificate at a time for each node, however many polls ask. */
function createCertificateDesk({ ledger, authority, clock }: JoinPollInit): CertificateDesk {
  const asking = new Map<string, Promise<CertificateRecord>>();
  const ask = async (nodeId: string, csrPem: string): Promise<CertificateRecord> => {
    const latest = await ledger.latestCertificate(nodeId);
    return latest && isFresh(latest, clock()) ? latest : authority.issueNodeCertificate({ nodeId, csrPem });
  };
  const forNode = (nodeId: string, csrPem: string): Promise<CertificateRecord> => {
    const known = asking.get(nodeId);
    if (known) return known;
    const asked = ask(nodeId, csrPem).finally(() => asking.delete(nodeId));
    asking.set(nodeId, asked);
    return asked;
  };
  return { forNode };
}

/** Less than half used: the agent would not renew it yet. */
function isFresh({ issuedAt, notAfter }: CertificateRecord, now: number): boolean {
  return now < (issuedAt + notAfter) / 2;
}
