/**
 * Whom the join token says to believe, before anything secret is said.
 *
 * One TLS connection reads the server's chain and is closed again: no HTTP is spoken on it. In the chain there must be a
 * certificate authority whose public key has the token's pin, and the server's own certificate must be issued by it, be
 * within its validity and carry an operator's SPIFFE name. Requests then go over connections that trust exactly that
 * authority (enrolment-client.ts), so nothing learned here has to be believed twice.
 */
import { X509Certificate } from "node:crypto";
import tls from "node:tls";
import { operatorSpiffeId, pinOfSpki, spkiOf, TRUST_DOMAIN_PATTERN } from "@saf/protocol";
import { AgentError } from "../errors.ts";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface PinnedAuthority {
  readonly certificatePem: string;
  /** Of the fabric cluster, as the server's certificate names it. */
  readonly trustDomain: string;
}

/** A handshake with a server on the other side of the world takes under a second. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Our own chains have two certificates; a longer one is cut off. */
const MAX_CHAIN_LENGTH = 8;

/** Throws AgentError SERVER_UNREACHABLE, PIN_MISMATCH or SERVER_UNTRUSTED. */
export async function findPinnedAuthority(
  server: ServerAddress,
  pin: string,
  nowMs: number,
  signal: AbortSignal,
): Promise<PinnedAuthority> {
  return checkChain(await readChain(server, signal), pin, nowMs);
}

/** Pure part: the pinned authority of a chain, leaf first. */
export function checkChain(chain: readonly X509Certificate[], pin: string, nowMs: number): PinnedAuthority {
  const [leaf] = chain;
  const authority = chain.find(
    (certificate) => certificate.ca && pinOfSpki(spkiOf(certificate.publicKey)) === pin,
  );
  if (!leaf || !authority) {
    throw new AgentError(
      "PIN_MISMATCH",
      "the server is not of the fabric cluster that the token was made for",
    );
  }
  if (!leaf.checkIssued(authority) || !leaf.verify(authority.publicKey)) {
    throw new AgentError(
      "SERVER_UNTRUSTED",
      "the server's certificate is not issued by the pinned authority",
    );
  }
  for (const certificate of [leaf, authority]) requireWithinValidity(certificate, nowMs);
  const trustDomain = operatorTrustDomain(leaf.subjectAltName);
  if (!trustDomain)
    throw new AgentError("SERVER_UNTRUSTED", "the server's certificate does not name an operator");
  return { certificatePem: authority.toString(), trustDomain };
}

/** The trust domain of the operator that a certificate's subjectAltName names, or undefined when it names none. */
export function operatorTrustDomain(subjectAltName: string | undefined): string | undefined {
  for (const name of subjectAltName?.split(", ") ?? []) {
    const trustDomain = /^URI:spiffe:\/\/([^/]{1,63})\//.exec(name)?.[1];
    if (
      trustDomain &&
      TRUST_DOMAIN_PATTERN.test(trustDomain) &&
      name === `URI:${operatorSpiffeId(trustDomain)}`
    ) {
      return trustDomain;
    }
  }
  return undefined;
}

function requireWithinValidity(certificate: X509Certificate, nowMs: number): void {
  if (nowMs < certificate.validFromDate.getTime() || nowMs > certificate.validToDate.getTime()) {
    throw new AgentError("SERVER_UNTRUSTED", "the server's certificate is not valid at this time");
  }
}

async function readChain({ host, port }: ServerAddress, signal: AbortSignal): Promise<X509Certificate[]> {
  signal.throwIfAborted(); // before there is a promise that nobody would await
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate[]>();
  // Not verified by TLS on purpose: checkChain does, against the pin and nothing else.
  const socket = tls.connect({ host, port, rejectUnauthorized: false, minVersion: "TLSv1.3" });
  const fail = (cause: unknown): void => {
    reject(new AgentError("SERVER_UNREACHABLE", `no TLS connection to ${host}:${port}`, { cause }));
  };
  const abort = (): void => fail(signal.reason);
  socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => fail(new Error("handshake timed out")));
  socket.once("secureConnect", () => resolve(peerChain(socket)));
  socket.once("error", fail);
  socket.once("close", () => fail(new Error("closed during the handshake")));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", abort);
    socket.destroy();
  }
}

function peerChain(socket: tls.TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw && chain.length < MAX_CHAIN_LENGTH) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate; // a self-signed one is its own issuer
  }
  return chain;
}
