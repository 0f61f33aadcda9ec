/** The checks that every request passes before it is believed to come from a key. */
import type { KeyObject } from "node:crypto";
import {
  readSignature,
  REQUEST_WINDOW_SECONDS,
  verifyRequest,
  type RequestSignature,
  type SignedRequest,
} from "@saf/protocol";
import { EnrolmentError } from "./errors.ts";

/** Cheap ones first: there is a signature, and its date is near. Throws SIGNATURE_INVALID, TIMESTAMP_OUT_OF_RANGE. */
export function requireDatedSignature(
  headers: Readonly<Record<string, unknown>>,
  now: number,
): RequestSignature {
  const signature = readSignature(headers);
  if (!signature)
    throw new EnrolmentError("SIGNATURE_INVALID", "the saf-* signature headers are missing or damaged");
  if (Math.abs(now - signature.timestamp) > REQUEST_WINDOW_SECONDS)
    throw new EnrolmentError(
      "TIMESTAMP_OUT_OF_RANGE",
      `this node's clock is ${apart(signature.timestamp - now)} the operator's, and at most ${REQUEST_WINDOW_SECONDS} s are let pass: set it (NTP)`,
    );
  return signature;
}

function apart(seconds: number): string {
  return seconds < 0 ? `${-seconds} s behind` : `${seconds} s ahead of`;
}

/** Throws SIGNATURE_INVALID. */
export function requireSignedBy(
  publicKey: KeyObject,
  request: SignedRequest,
  signature: RequestSignature,
): void {
  if (!verifyRequest(request, signature, publicKey))
    throw new EnrolmentError("SIGNATURE_INVALID", "the request is not signed by the key it names");
}
