/**
 * X.509 by the cluster's CA: ECDSA P-256, one level deep (path length 0). Pure but for the serial's randomness.
 * Every certificate starts a clock skew early, so that a node whose clock is behind can use it at once.
 */
import { randomBytes, webcrypto, type X509Certificate, type KeyObject } from "node:crypto";
import { CLOCK_SKEW_SECONDS, importKeyPair, spkiOf, x509 } from "@saf/protocol";

const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;

export const EITHER_END: readonly string[] = [serverAuth, clientAuth];
export const SERVER_ONLY: readonly string[] = [serverAuth];

export interface CertificateTemplate {
  readonly commonName: string;
  readonly publicKey: KeyObject;
  readonly names: readonly x509.JsonGeneralName[];
  readonly usages: readonly string[];
  /** Unix seconds. */
  readonly now: number;
  readonly lifetimeSeconds: number;
}

export interface Certificate {
  readonly pem: string;
  /** Unix seconds. */
  readonly notAfter: number;
  /** Lowercase hex. */
  readonly serial: string;
}

export interface CertificateIssuer {
  readonly certificate: Certificate;
  /** Never outlives the CA. */
  issue(template: CertificateTemplate): Promise<Certificate>;
}

/** A self-signed CA named for its trust domain: `spiffe://<trust domain>` (SPIFFE X.509-SVID §3.2). */
export async function createCaCertificate(
  key: KeyObject,
  { trustDomain, now, lifetimeSeconds }: { trustDomain: string; now: number; lifetimeSeconds: number },
): Promise<string> {
  const keys = await importKeyPair(key);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`${trustDomain} fabric CA`] }],
    ...validity(now, now + lifetimeSeconds),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return certificate.toString("pem");
}

export async function createIssuer(key: KeyObject, certificatePem: string): Promise<CertificateIssuer> {
  const keys = await importKeyPair(key);
  const ca = new x509.X509Certificate(certificatePem);
  const caNotAfter = notAfterOf(ca);
  const authorityKey = await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey);

  const issue = async (template: CertificateTemplate): Promise<Certificate> => {
    const serial = newSerial();
    const notAfter = Math.min(template.now + template.lifetimeSeconds, caNotAfter);
    const publicKey = await importPublicKey(template.publicKey);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial,
      subject: [{ CN: [template.commonName] }],
      issuer: ca.subjectName,
      ...validity(template.now, notAfter),
      signingAlgorithm: SIGNING,
      publicKey,
      signingKey: keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([...template.usages]),
        new x509.SubjectAlternativeNameExtension([...template.names]),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        authorityKey,
      ],
    });
    return { pem: certificate.toString("pem"), notAfter, serial };
  };
  return { certificate: { pem: certificatePem, notAfter: caNotAfter, serial: ca.serialNumber }, issue };
}

/** The trust domain that a CA certificate speaks for; undefined when it is no CA of a fabric. */
export function trustDomainOfCa(certificate: X509Certificate): string | undefined {
  return certificate.ca ? /^URI:spiffe:\/\/([^/,]+)$/.exec(certificate.subjectAltName ?? "")?.[1] : undefined;
}

/** 127 random bits, the first of them set: positive and of one length (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function validity(now: number, notAfter: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date((now - CLOCK_SKEW_SECONDS) * 1000), notAfter: new Date(notAfter * 1000) };
}

function notAfterOf(certificate: x509.X509Certificate): number {
  return Math.floor(certificate.notAfter.getTime() / 1000);
}

function importPublicKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("spki", new Uint8Array(spkiOf(key)), P256, true, ["verify"]);
}
