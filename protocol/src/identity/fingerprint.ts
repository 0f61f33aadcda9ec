/**
 * A node is pinned by its public key, not by its certificate: a renewed certificate keeps the pin.
 * The fingerprint is the lowercase hex SHA-256 of the DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), 64 characters.
 */
import { createHash, createPublicKey, X509Certificate, type KeyObject } from "node:crypto";

export const FINGERPRINT_PATTERN: RegExp = /^[0-9a-f]{64}$/;

/** DER SubjectPublicKeyInfo of a public key (or of the public half of a private key). */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ type: "spki", format: "der" });
}

export function fingerprintOfSpki(spkiDer: Uint8Array): string {
  return createHash("sha256").update(spkiDer).digest("hex");
}

export function fingerprintOfKey(key: KeyObject): string {
  return fingerprintOfSpki(spkiOf(key));
}

/** @param certificate PEM or DER of one certificate. Throws node:crypto's error when it is not one. */
export function fingerprintOfCertificate(certificate: string | Uint8Array): string {
  return fingerprintOfKey(new X509Certificate(certificate).publicKey);
}
