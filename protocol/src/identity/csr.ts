/**
 * Certificate signing requests (PKCS #10, RFC 2986). A request proves possession of a key and says nothing else that
 * is believed: the name, the SPIFFE id and the lifetime are the operator's. A request that asks for a name is refused,
 * so that a forged one is seen instead of being quietly ignored.
 */
import {
  webcrypto,
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
} from "node:crypto";
import { x509 } from "./x509.ts";
import { IdentityError } from "./errors.ts";
import { fingerprintOfKey } from "./fingerprint.ts";

/** A P-256 request is under 600 bytes of PEM. */
export const MAX_CSR_LENGTH = 4096;
const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { ...P256, hash: "SHA-256" } as const;

/** A fresh ECDSA P-256 key as PKCS #8 PEM. */
export function generateNodeKey(): string {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
    type: "pkcs8",
    format: "pem",
  }) as string;
}

/** PEM certificate signing request with the node's name as its common name and no extension. */
export async function createCsr(privateKeyPem: string, nodeName: string): Promise<string> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [nodeName] }],
    keys: await importKeyPair(createPrivateKey(privateKeyPem)),
    signingAlgorithm: SIGNING,
  });
  return request.toString("pem");
}

export interface CertificateRequest {
  readonly publicKey: KeyObject;
  readonly fingerprint: string;
}

/**
 * The public key that a request proves possession of.
 * Throws IdentityError CSR_INVALID (not a request, other than P-256, bad self-signature, over 4 KiB) or CSR_FORBIDDEN_SAN
 * (it asks for extensions: names are given, not asked for).
 */
export async function verifyCsr(pem: string): Promise<CertificateRequest> {
  if (pem.length > MAX_CSR_LENGTH)
    throw new IdentityError("CSR_INVALID", "the signing request is over 4 KiB");
  let request: x509.Pkcs10CertificateRequest;
  let publicKey: KeyObject;
  let genuine: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
    publicKey = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: "der", type: "spki" });
    genuine = publicKey.asymmetricKeyDetails?.namedCurve === "prime256v1" && (await request.verify());
  } catch (error) {
    throw new IdentityError("CSR_INVALID", "not a PKCS #10 signing request for a P-256 key", {
      cause: error,
    });
  }
  if (!genuine)
    throw new IdentityError("CSR_INVALID", "the signing request is not signed by its own P-256 key");
  if (request.extensions.length > 0 || request.attributes.length > 0) {
    throw new IdentityError(
      "CSR_FORBIDDEN_SAN",
      "a node does not choose its names: the request must carry no extensions",
    );
  }
  return { publicKey, fingerprint: fingerprintOfKey(publicKey) };
}

/** WebCrypto's view of a P-256 private key and its public half, as @peculiar/x509 wants it. */
export async function importKeyPair(privateKey: KeyObject): Promise<webcrypto.CryptoKeyPair> {
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey("pkcs8", pkcs8, P256, true, ["sign"]),
    publicKey: await subtle.importKey("spki", spki, P256, true, ["verify"]),
  };
}
