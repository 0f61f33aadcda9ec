/**
 * `POST /v1alpha1/join`. What costs least is checked first, and nothing is written before everything else holds:
 *   signature headers and date → body's shape → cluster → join token's secret and rate → CSR → request's signature
 *     → service account: what the API server says of its pod → ledger
 */
import {
  JOIN_PATH,
  joinBody,
  proofOf,
  verifyCsr,
  verifySecret,
  type JoinAccepted,
  type JoinBody,
  type JoinProof,
  type RequestSignature,
} from "@saf/protocol";
import type { Attestor } from "../attestation/attestor.ts";
import type { JoinInput, Ledger } from "../ledger/ledger.ts";
import { EnrolmentError } from "./errors.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import { isPemText, isPlain } from "./plain-text.ts";
import { requireDatedSignature, requireSignedBy } from "./signed-request.ts";

export interface JoinAdmissionInit {
  readonly ledger: Ledger;
  readonly term: number;
  readonly trustDomain: string;
  readonly clock: () => number;
  /** Joins with one token, or of one service account. */
  readonly joinsPerToken: RateLimiter;
  readonly attestor: Attestor;
}

export interface JoinCall {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  /** For the audit: what limits count by. */
  readonly source: string;
  /** Of the connection's other end. */
  readonly address: string;
}

export type JoinAdmission = (call: JoinCall) => Promise<JoinAccepted & { created: boolean }>;

export function createJoinAdmission(init: JoinAdmissionInit): JoinAdmission {
  return async ({ headers, body, source, address }) => {
    const signature = requireDatedSignature(headers, init.clock());
    const [join, proof] = parseBody(body);
    requireCluster(init, join);
    if (proof.type === "ServiceAccount") init.attestor.requireOn();
    else await requireToken(init, proof);
    await requireProvenKey(join, body, signature);
    const { nodeName, requestedRoles, facts, capabilities, candidates } = join;
    const input = {
      nodeName,
      csrPem: join.csr,
      fingerprint: signature.fingerprint,
      requestedRoles,
      facts,
      capabilities,
      candidates,
      nonce: signature.nonce,
      source,
    };
    const { requestId, created } =
      proof.type === "JoinToken"
        ? await init.ledger.admitJoin(init.term, { ...input, tokenName: proof.tokenId })
        : await admitPod(init, input, proof.token, address);
    return { requestId, state: "pending", created };
  };
}

async function admitPod(
  { attestor, ledger, term, joinsPerToken }: JoinAdmissionInit,
  input: Omit<JoinInput, "tokenName" | "pod">,
  token: string,
  address: string,
): Promise<{ requestId: string; created: boolean }> {
  const pod = await attestor.vouch(token, { nodeName: input.nodeName, source: address });
  requireRate(joinsPerToken, `serviceaccount/${pod.namespace}/${pod.serviceAccount}`);
  try {
    return await ledger.admitJoin(term, { ...input, tokenName: null, pod });
  } catch (error) {
    await attestor.refused(pod, error);
    throw error;
  }
}

function parseBody(body: Buffer): [JoinBody, JoinProof] {
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
  const proof = proofOf(rest);
  if (!isPlain(rest) || !isPemText(csr) || !proof)
    throw new EnrolmentError("BODY_INVALID", "the body has control characters in it");
  return [parsed.data, proof];
}

function requireCluster({ trustDomain }: JoinAdmissionInit, join: JoinBody): void {
  if (join.trustDomain !== undefined && join.trustDomain !== trustDomain)
    throw new EnrolmentError("WRONG_CLUSTER", `this is ${trustDomain}, not ${join.trustDomain}`);
}

async function requireToken(
  { ledger, joinsPerToken }: JoinAdmissionInit,
  { tokenId, secret }: Extract<JoinProof, { type: "JoinToken" }>,
): Promise<void> {
  const token = await ledger.token(tokenId);
  // One answer for an unknown id and a wrong secret: ids cannot be tried out.
  if (!token || !verifySecret(token.hash, secret)) throw new EnrolmentError("TOKEN_UNKNOWN", "no such token");
  requireRate(joinsPerToken, `token/${tokenId}`);
}

function requireRate(limiter: RateLimiter, key: string): void {
  const retryAfterSeconds = limiter.take(key);
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
