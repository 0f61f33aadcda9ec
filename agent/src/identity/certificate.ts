/** The node's own certificate: what must hold before it is kept, and when it is time for the next one. */
import { X509Certificate } from "node:crypto";
import { fingerprintOfKey, spiffeIdOfNode } from "@saf/protocol";
import { AgentError } from "../errors.ts";

export interface ExpectedCertificate {
  readonly trustDomain: string;
  readonly nodeId: string;
  readonly fingerprint: string;
  readonly caCertificates: readonly string[];
  readonly nowSeconds: number;
}

export interface Validity {
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export function validityOf(certificatePem: string): Validity {
  const certificate = new X509Certificate(certificatePem);
  return {
    notBefore: unixSeconds(certificate.validFromDate),
    notAfter: unixSeconds(certificate.validToDate),
  };
}

/**
 * Checks a chain (PEM, leaf first) that the operator gave: this node's key, this node's name, issued by an authority of the
 * trust root, not over yet. Throws AgentError CERTIFICATE_INVALID.
 */
export function checkCertificate(chain: readonly string[], expected: ExpectedCertificate): Validity {
  const refuse = (why: string): AgentError => new AgentError("CERTIFICATE_INVALID", `the certificate ${why}`);
  const [leaf, ...rest] = chain.map(parse);
  if (!leaf) throw refuse("is missing");
  if (fingerprintOfKey(leaf.publicKey) !== expected.fingerprint) throw refuse("is for another key");
  const name = `URI:${spiffeIdOfNode(expected.trustDomain, expected.nodeId)}`;
  if (leaf.subjectAltName !== name) throw refuse("names another node");
  if (!reachesAuthority(leaf, rest, expected.caCertificates.map(parse))) {
    throw refuse("is not issued by an authority of the trust root");
  }
  const validity = { notBefore: unixSeconds(leaf.validFromDate), notAfter: unixSeconds(leaf.validToDate) };
  if (validity.notAfter <= expected.nowSeconds) throw refuse("is expired");
  return validity;
}

/**
 * When to ask for the next certificate, unix seconds: two thirds into its life, up to 5 % of it earlier, so that nodes that
 * were approved together do not renew together and a third of the life is left to retry in.
 */
export function renewalTime({ notBefore, notAfter }: Validity, random: () => number): number {
  const life = notAfter - notBefore;
  return Math.floor(notBefore + life * (2 / 3 - 0.05 * random()));
}

function reachesAuthority(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  let subject = leaf;
  for (const next of [undefined, ...intermediates]) {
    if (next) {
      if (!isIssuer(subject, next)) return false;
      subject = next;
    }
    if (authorities.some((authority) => isIssuer(subject, authority))) return true;
  }
  return false;
}

function isIssuer(subject: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new AgentError("CERTIFICATE_INVALID", "not a certificate", { cause });
  }
}

function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
