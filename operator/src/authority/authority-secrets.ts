/** The keys of a fabric cluster's authority: made once, kept in the Secret `fabric-authority`, checked before each use. */
import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto";
import { fingerprintOfKey } from "@saf/protocol";
import type { AuthoritySecrets } from "./authority.ts";
import { createCaCertificate, trustDomainOfCa } from "./certificate-issuer.ts";
import { AuthorityError } from "./errors.ts";

/** Until rotation is built, a cluster lives as long as its CA: ten years. */
const CA_LIFETIME_SECONDS = 10 * 365 * 86_400;

export interface AuthorityKeys {
  readonly caKey: KeyObject;
  readonly caCertificatePem: string;
  readonly signingKey: KeyObject;
  readonly signingKeyId: string;
  readonly controlKey: KeyObject;
}

/** @param now Unix seconds. */
export async function generateAuthoritySecrets(trustDomain: string, now: number): Promise<AuthoritySecrets> {
  const caKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const controlKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const signingKey = generateKeyPairSync("ed25519").privateKey;
  return {
    caKeyPem: pemOf(caKey),
    caCertificatePem: await createCaCertificate(caKey, {
      trustDomain,
      now,
      lifetimeSeconds: CA_LIFETIME_SECONDS,
    }),
    signingKeyPem: pemOf(signingKey),
    signingKeyId: keyIdOf(signingKey),
    controlKeyPem: pemOf(controlKey),
  };
}

/** Throws AuthorityError SECRETS_INVALID; the message names the part, never its content. */
export function readAuthoritySecrets(secrets: AuthoritySecrets, trustDomain: string): AuthorityKeys {
  const caKey = readKey("caKeyPem", secrets.caKeyPem, "ec");
  const signingKey = readKey("signingKeyPem", secrets.signingKeyPem, "ed25519");
  const controlKey = readKey("controlKeyPem", secrets.controlKeyPem, "ec");
  const certificate = readCertificate(secrets.caCertificatePem);
  requireThat(certificate.checkPrivateKey(caKey), "caCertificatePem is of another key than caKeyPem");
  requireThat(trustDomainOfCa(certificate) === trustDomain, "caCertificatePem is of another trust domain");
  requireThat(secrets.signingKeyId === keyIdOf(signingKey), "signingKeyId is of another key");
  const { caCertificatePem, signingKeyId } = secrets;
  return { caKey, caCertificatePem, signingKey, signingKeyId, controlKey };
}

export function pemOf(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Short enough for every header, long enough not to meet another by chance. */
function keyIdOf(signingKey: KeyObject): string {
  return fingerprintOfKey(signingKey).slice(0, 16);
}

function readKey(part: keyof AuthoritySecrets, pem: string, type: "ec" | "ed25519"): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new AuthorityError("SECRETS_INVALID", `${part} is not a private key`, { cause: error });
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  requireThat(
    key.asymmetricKeyType === type && (type !== "ec" || curve === "prime256v1"),
    `${part} is of another kind`,
  );
  return key;
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new AuthorityError("SECRETS_INVALID", "caCertificatePem is not a certificate", { cause: error });
  }
}

function requireThat(holds: boolean, message: string): void {
  if (!holds) throw new AuthorityError("SECRETS_INVALID", message);
}
