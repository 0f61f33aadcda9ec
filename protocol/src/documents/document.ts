/**
 * Signed documents: the only form in which intent leaves the operator.
 *
 * A document is a compact JWS (RFC 7515) signed with Ed25519 (RFC 8037). Verification runs in this order, and nothing of
 * the payload is looked at before its signature holds:
 *   1. size   2. header: algorithm, type, known key   3. signature   4. shape   5. cluster   6. scope
 *   7. term, epoch, issue time against the highest seen   8. validity period   9. body
 *
 * (term, epoch, issuedAt) orders the documents of one type and scope. The term fences operators, the epoch counts decisions,
 * and a later issue time re-issues the same decision for longer. A node never goes back.
 */
import type { KeyObject } from "node:crypto";
import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import { z } from "zod";
import { DocumentError } from "./errors.ts";

/** A snapshot of a 1000-node mesh is about 400 KiB. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024;
/** Clocks of nodes and operator may differ by this much. */
export const CLOCK_SKEW_SECONDS = 300;

export type DocumentType = "saf-trust-root" | "saf-node-snapshot";

/** Everyone in the cluster, as a scope. */
export const EVERY_NODE = "*";

export interface DocumentOrder {
  readonly term: number;
  readonly epoch: number;
  /** Unix seconds. */
  readonly issuedAt: number;
}

export interface DocumentPayload<Body> extends DocumentOrder {
  /** Trust domain of the fabric cluster. */
  readonly cluster: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** The node id that the document speaks to, or EVERY_NODE. */
  readonly scope: string;
  readonly body: Body;
}

export interface SigningKey {
  readonly kid: string;
  /** Ed25519. */
  readonly privateKey: KeyObject;
}

export interface Expectation<Body> {
  readonly type: DocumentType;
  readonly cluster: string;
  readonly scope: string;
  readonly body: z.ZodType<Body>;
  /** Ed25519 public keys by key id. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Unix seconds. */
  readonly now: number;
  /** The highest order believed so far for this type and scope. */
  readonly seen?: DocumentOrder | undefined;
}

const count = z.int().nonnegative();
const payloadSchema = z.object({
  cluster: z.string().max(63),
  term: count,
  epoch: count,
  issuedAt: count,
  expiresAt: count,
  scope: z.string().max(64),
  body: z.unknown(),
});

export async function signDocument(
  type: DocumentType,
  payload: DocumentPayload<unknown>,
  key: SigningKey,
): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(payload));
  const jws = await new CompactSign(bytes)
    .setProtectedHeader({ alg: "EdDSA", kid: key.kid, typ: type })
    .sign(key.privateKey);
  if (jws.length > MAX_DOCUMENT_BYTES)
    throw new DocumentError("TOO_LARGE", `a ${type} over ${MAX_DOCUMENT_BYTES} bytes`);
  return jws;
}

/** Returns the payload that may be believed, or throws DocumentError. */
export async function verifyDocument<Body>(
  jws: string,
  expected: Expectation<Body>,
): Promise<DocumentPayload<Body>> {
  if (jws.length > MAX_DOCUMENT_BYTES)
    throw new DocumentError("TOO_LARGE", `over ${MAX_DOCUMENT_BYTES} bytes`);
  const payload = parsePayload(await verifySignature(jws, keyFor(jws, expected)));
  requireBelonging(payload, expected);
  requireForward(payload, expected.seen);
  requireValid(payload, expected.now);
  const body = expected.body.safeParse(payload.body);
  if (!body.success) throw new DocumentError("INVALID_BODY", firstIssue(body.error));
  return { ...payload, body: body.data };
}

/** Negative when `a` is older than `b`. */
export function compareOrder(a: DocumentOrder, b: DocumentOrder): number {
  return a.term - b.term || a.epoch - b.epoch || a.issuedAt - b.issuedAt;
}

function keyFor(jws: string, expected: Expectation<unknown>): KeyObject {
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(jws);
  } catch (error) {
    throw new DocumentError("MALFORMED", "not a compact JWS", { cause: error });
  }
  if (header.typ !== expected.type) throw new DocumentError("WRONG_TYPE", `expected a ${expected.type}`);
  const key = typeof header.kid === "string" ? expected.keys.get(header.kid) : undefined;
  if (!key) throw new DocumentError("UNKNOWN_KEY", "signed with a key that the trust root does not name");
  return key;
}

async function verifySignature(jws: string, key: KeyObject): Promise<Uint8Array> {
  try {
    return (await compactVerify(jws, key, { algorithms: ["EdDSA"] })).payload;
  } catch (error) {
    throw new DocumentError("BAD_SIGNATURE", "the signature does not hold", { cause: error });
  }
}

function parsePayload(bytes: Uint8Array): DocumentPayload<unknown> {
  try {
    return payloadSchema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new DocumentError("MALFORMED", "the payload is not a document", { cause: error });
  }
}

function requireBelonging(payload: DocumentPayload<unknown>, expected: Expectation<unknown>): void {
  if (payload.cluster !== expected.cluster)
    throw new DocumentError("WRONG_CLUSTER", "signed for another fabric cluster");
  if (payload.scope !== expected.scope) throw new DocumentError("OUT_OF_SCOPE", "signed for another node");
}

function requireForward(payload: DocumentOrder, seen: DocumentOrder | undefined): void {
  if (!seen || compareOrder(payload, seen) >= 0) return;
  if (payload.term < seen.term)
    throw new DocumentError("LOWER_TERM", `term ${payload.term} after term ${seen.term}`);
  throw new DocumentError(
    "LOWER_EPOCH",
    `epoch ${payload.epoch} after epoch ${seen.epoch}, or an older issue of it`,
  );
}

function requireValid({ issuedAt, expiresAt }: DocumentPayload<unknown>, now: number): void {
  if (now > expiresAt + CLOCK_SKEW_SECONDS)
    throw new DocumentError("EXPIRED", `expired at ${expiresAt}, now ${now}`);
  if (now < issuedAt - CLOCK_SKEW_SECONDS)
    throw new DocumentError("NOT_YET_VALID", `issued at ${issuedAt}, now ${now}`);
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue ? `${issue.path.join(".")}: ${issue.message}` : "the body is not of its kind";
}
