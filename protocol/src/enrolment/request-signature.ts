/**
 * Every enrolment request is signed by the node's key, so that a stolen token alone cannot finish another node's join and a
 * captured request cannot be played again.
 *
 * `saf-signature` is base64url ECDSA P-256 / SHA-256 (IEEE P1363) over
 *   METHOD \n path and query \n timestamp \n nonce \n lowercase hex SHA-256 of the body
 */
import { createHash, randomBytes, sign, verify, type KeyObject } from "node:crypto";
import { fingerprintOfKey } from "../identity/fingerprint.ts";

/** A signed request is believed this long around its timestamp; nonces are remembered at least twice as long. */
export const REQUEST_WINDOW_SECONDS = 300;

export interface SignedRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly body: Uint8Array | string;
}

export interface RequestSignature {
  readonly fingerprint: string;
  /** Unix seconds. */
  readonly timestamp: number;
  /** 16 random bytes, base64url. */
  readonly nonce: string;
  /** base64url. */
  readonly signature: string;
}

export const SIGNATURE_HEADERS = {
  fingerprint: "saf-fingerprint",
  timestamp: "saf-timestamp",
  nonce: "saf-nonce",
  signature: "saf-signature",
} as const;

export function signRequest(
  request: SignedRequest,
  privateKey: KeyObject,
  nowSeconds: number,
  random: (sizeBytes: number) => Buffer = randomBytes,
): Record<string, string> {
  const nonce = random(16).toString("base64url");
  const signature = sign("sha256", signedBytes(request, nowSeconds, nonce), {
    key: privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return {
    [SIGNATURE_HEADERS.fingerprint]: fingerprintOfKey(privateKey),
    [SIGNATURE_HEADERS.timestamp]: String(nowSeconds),
    [SIGNATURE_HEADERS.nonce]: nonce,
    [SIGNATURE_HEADERS.signature]: signature.toString("base64url"),
  };
}

/** The signature's parts, or undefined when a header is missing or out of bounds. */
export function readSignature(headers: Readonly<Record<string, unknown>>): RequestSignature | undefined {
  const text = (name: string, pattern: RegExp): string | undefined => {
    const value = headers[name];
    return typeof value === "string" && pattern.test(value) ? value : undefined;
  };
  const fingerprint = text(SIGNATURE_HEADERS.fingerprint, /^[0-9a-f]{64}$/);
  const timestamp = text(SIGNATURE_HEADERS.timestamp, /^\d{1,12}$/);
  const nonce = text(SIGNATURE_HEADERS.nonce, /^[A-Za-z0-9_-]{22}$/);
  const signature = text(SIGNATURE_HEADERS.signature, /^[A-Za-z0-9_-]{86}$/);
  if (!fingerprint || !timestamp || !nonce || !signature) return undefined;
  return { fingerprint, timestamp: Number(timestamp), nonce, signature };
}

/** Whether `publicKey` signed exactly this request. Freshness and replay are the caller's to check. */
export function verifyRequest(
  request: SignedRequest,
  given: RequestSignature,
  publicKey: KeyObject,
): boolean {
  const bytes = signedBytes(request, given.timestamp, given.nonce);
  const key = { key: publicKey, dsaEncoding: "ieee-p1363" as const };
  return verify("sha256", bytes, key, Buffer.from(given.signature, "base64url"));
}

function signedBytes({ method, target, body }: SignedRequest, timestamp: number, nonce: string): Buffer {
  const digest = createHash("sha256").update(body).digest("hex");
  return Buffer.from([method, target, timestamp, nonce, digest].join("\n"));
}
