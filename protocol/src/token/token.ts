/**
 * Join tokens `saf1.<token id>.<secret>.<pin>`.
 *
 * id      the name of the JoinToken object
 * secret  256 random bits, base64url; only a salted hash of it is ever stored
 * pin     base64url SHA-256 of the cluster CA's SubjectPublicKeyInfo (as RFC 7469 pins): the joiner checks the server's
 *         chain against it before it says anything secret
 *
 * A slow password hash would add nothing: the secret has 256 bits of entropy.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

export type TokenErrorCode = "TOKEN_MALFORMED" | "TOKEN_HASH_MALFORMED";

export class TokenError extends Error {
  readonly code: TokenErrorCode;
  constructor(code: TokenErrorCode, message: string) {
    super(message);
    this.name = "TokenError";
    this.code = code;
  }
}

export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  readonly pin: string;
}

export const TOKEN_ID_PATTERN: RegExp = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const PIN_PATTERN: RegExp = /^[A-Za-z0-9_-]{43}$/;
const HASH_PATTERN = /^sha256:([A-Za-z0-9_-]{22}):([A-Za-z0-9_-]{43})$/;

/** @returns the raw token, to be shown once, and the salted hash for JoinToken.spec.tokenHash. */
export function createToken(
  { id, pin }: Pick<JoinToken, "id" | "pin">,
  random: (sizeBytes: number) => Buffer = randomBytes,
): { token: string; hash: string } {
  if (!TOKEN_ID_PATTERN.test(id)) throw new TokenError("TOKEN_MALFORMED", "a token id is a DNS label");
  if (!PIN_PATTERN.test(pin)) throw new TokenError("TOKEN_MALFORMED", "a pin is a base64url SHA-256");
  const secret = random(32).toString("base64url");
  return { token: `saf1.${id}.${secret}.${pin}`, hash: hashSecret(secret, random(16)) };
}

/** Throws TokenError TOKEN_MALFORMED; the message never repeats the token. */
export function parseToken(token: string): JoinToken {
  const [version, id, secret, pin, ...rest] = token.length <= 256 ? token.trim().split(".") : [];
  if (version !== "saf1" || !id || !secret || !pin || rest.length > 0) {
    throw new TokenError("TOKEN_MALFORMED", "a join token reads saf1.<id>.<secret>.<pin>");
  }
  if (!TOKEN_ID_PATTERN.test(id) || !PIN_PATTERN.test(secret) || !PIN_PATTERN.test(pin)) {
    throw new TokenError("TOKEN_MALFORMED", "a part of the join token is damaged");
  }
  return { id, secret, pin };
}

export function hashSecret(secret: string, salt: Uint8Array): string {
  return `sha256:${Buffer.from(salt).toString("base64url")}:${digest(salt, secret).toString("base64url")}`;
}

/** Constant-time. Throws TokenError TOKEN_HASH_MALFORMED when `hash` was not made by hashSecret. */
export function verifySecret(hash: string, secret: string): boolean {
  const [, salt, expected] = HASH_PATTERN.exec(hash) ?? [];
  if (!salt || !expected)
    throw new TokenError("TOKEN_HASH_MALFORMED", "a token hash reads sha256:<salt>:<hash>");
  return timingSafeEqual(Buffer.from(expected, "base64url"), digest(Buffer.from(salt, "base64url"), secret));
}

/** The pin of a CA from its DER SubjectPublicKeyInfo. */
export function pinOfSpki(spkiDer: Uint8Array): string {
  return createHash("sha256").update(spkiDer).digest("base64url");
}

function digest(salt: Uint8Array, secret: string): Buffer {
  return createHash("sha256").update(salt).update(secret).digest();
}
