/**
 * `POST /v1alpha1/join`. What costs least is checked first, and nothing is written before everything else holds:
 *   signature headers and date → body's shape → cluster → token's secret → token's rate → CSR → request's signature → ledger
 */
import {
  JOIN_PATH,
  joinBody,
  verifyCsr,
  verifySecret,
  type JoinAccepted,
  type JoinBody,
  type RequestSignature,
} from "@saf/protocol";
import type { Ledger } from "../ledger/ledger.ts";
import { EnrolmentError } from "./errors.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import { isPemText, isPlain } from "./plain-text.ts";
import { requireDatedSignature, requireSignedBy } from "./signed-request.ts";

export interface JoinAdmissionInit {
  readonly ledger: Ledger;
  readonly term: number;
  readonly trustDomain: string;
  readonly clock: () => number;
  readonly joinsPerToken: RateLimiter;
}

export interface JoinCall {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly source: string;
}

export type JoinAdmission = (call: JoinCall) => Promise<JoinAccepted & { created: boolean }>;

export function createJoinAdmission(init: JoinAdmissionInit): JoinAdmission {
  return async ({ headers, body, source }) => {
    const signature = requireDatedSignature(headers, init.clock());
    const join = parseBody(body);
    await requireToken(init, join);
    await requireProvenKey(join, body, signature);
    const { nodeName, requestedRoles, facts, capabilities, candidates } = join;
    const { requestId, created } = await init.ledger.admitJoin(init.term, {
      tokenName: join.tokenId,
      nodeName,
      csrPem: join.csr,
      fingerprint: signature.fingerprint,
      requestedRoles,
      facts,
      capabilities,
      candidates,
      nonce: signature.nonce,
      source,
    });
    return { requestId, state: "pending", created };
  };
}

function parseBody(body: Buffer): JoinBody {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new EnrolmentError("BODY_INVALID", "the body is not JSON", { cause: error });
  }
  const parsed = joinBody.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new EnrolmentError(
      "BODY_INVALID",
      `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "refused"}`,
    );
  }
  const { csr, ...rest } = parsed.data;
  if (!isPlain(rest) || !isPemText(csr))
    throw new EnrolmentError("BODY_INVALID", "the body has control characters in it");
  return parsed.data;
}

async function requireToken(init: JoinAdmissionInit, join: JoinBody): Promise<void> {
  if (join.trustDomain !== undefined && join.trustDomain !== init.trustDomain)
    throw new EnrolmentError("WRONG_CLUSTER", `this is ${init.trustDomain}, not ${join.trustDomain}`);
  const token = await init.ledger.token(join.tokenId);
  // One answer for an unknown id and a wrong secret: ids cannot be tried out.
  if (!token || !verifySecret(token.hash, join.secret))
    throw new EnrolmentError("TOKEN_UNKNOWN", "no such token");
  const retryAfterSeconds = init.joinsPerToken.take(join.tokenId);
  if (retryAfterSeconds > 0)
    throw new EnrolmentError("RATE_LIMITED", "too many joins with this token", { retryAfterSeconds });
}

/** The CSR's key signed the CSR and this request. Throws CSR_INVALID, CSR_FORBIDDEN_SAN, CSR_KEY_MISMATCH, SIGNATURE_INVALID. */
async function requireProvenKey(join: JoinBody, body: Buffer, signature: RequestSignature): Promise<void> {
  const { publicKey, fingerprint } = await verifyCsr(join.csr);
  if (fingerprint !== signature.fingerprint)
    throw new EnrolmentError(
      "CSR_KEY_MISMATCH",
      "the signing request is for another key than the one that signed",
    );
  requireSignedBy(publicKey, { method: "POST", target: JOIN_PATH, body }, signature);
}
