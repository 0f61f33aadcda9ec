/**
 * The trust root says whom a node believes: the certificate authorities of its peers and the keys of documents.
 * The first one arrives over a TLS connection checked against the join token's pin; a later one must be signed by a key that
 * the one before it names, so trust only ever moves forward from the token.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { TRUST_DOMAIN_PATTERN } from "../identity/spiffe.ts";
import { decodeJwt } from "jose";
import { DocumentError } from "./errors.ts";
import { EVERY_NODE, verifyDocument, type DocumentOrder, type DocumentPayload } from "./document.ts";

const signingKey = z.object({
  kid: z.string().min(1).max(64),
  /** Raw Ed25519 public key, 32 bytes base64url (RFC 8037 `x`). */
  publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});

export const trustRootBody = z.object({
  trustDomain: z.string().regex(TRUST_DOMAIN_PATTERN),
  ledgerId: z.uuid(),
  /** PEM, one certificate each. Two while an authority is being replaced. */
  caCertificates: z.array(z.string().max(4096)).min(1).max(4),
  signingKeys: z.array(signingKey).min(1).max(8),
});
export type TrustRootBody = z.infer<typeof trustRootBody>;
export type TrustRoot = DocumentPayload<TrustRootBody>;

/** Ed25519 public keys of a trust root by key id. */
export function signingKeysOf(root: TrustRootBody): ReadonlyMap<string, KeyObject> {
  return new Map(root.signingKeys.map(({ kid, publicKey }) => [kid, ed25519PublicKey(publicKey)]));
}

/** Raw 32-byte Ed25519 public key, base64url, as trust roots carry it. */
export function rawEd25519(publicKey: KeyObject): string {
  const { x } = publicKey.export({ format: "jwk" });
  if (publicKey.asymmetricKeyType !== "ed25519" || !x) throw new TypeError("not an Ed25519 key");
  return x;
}

export interface TrustRootExpectation {
  readonly cluster: string;
  /** Unix seconds. */
  readonly now: number;
  readonly seen?: DocumentOrder | undefined;
  /** The root believed until now. Absent only for the first one, which the pinned connection vouches for. */
  readonly previous?: TrustRootBody | undefined;
}

/** Returns the trust root that may be believed from now on, or throws DocumentError. */
export async function verifyTrustRoot(jws: string, expected: TrustRootExpectation): Promise<TrustRoot> {
  const keys = signingKeysOf(expected.previous ?? claimedBody(jws));
  return verifyDocument(jws, {
    type: "saf-trust-root",
    cluster: expected.cluster,
    scope: EVERY_NODE,
    body: trustRootBody,
    keys,
    now: expected.now,
    seen: expected.seen,
  });
}

/** A first root is checked against itself: this proves its integrity, the connection it came by proves its origin. */
function claimedBody(jws: string): TrustRootBody {
  try {
    return trustRootBody.parse(decodeJwt(jws).body);
  } catch (error) {
    throw new DocumentError("MALFORMED", "not a trust root", { cause: error });
  }
}

function ed25519PublicKey(x: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}
