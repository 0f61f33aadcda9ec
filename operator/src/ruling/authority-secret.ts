/** The authority's keys in the Secret `fabric-authority`: made once by the first operator that rules, never overwritten. */
import { z } from "zod";
import { X509Certificate } from "node:crypto";
import { pinOfSpki, spkiOf } from "@saf/protocol";
import type { AuthoritySecrets } from "../authority/authority.ts";
import { generateAuthoritySecrets } from "../authority/authority-secrets.ts";
import type { KubeClient } from "../kube/client.ts";
import { findObject } from "../kube/find.ts";
import { SECRETS, type Secret } from "../kube/resource.ts";
import { RulingError } from "./errors.ts";

export const AUTHORITY_SECRET = "fabric-authority";

const entry = z.string().min(1).max(16_384);
const entries = z.object({
  caKeyPem: entry,
  caCertificatePem: entry,
  signingKeyPem: entry,
  signingKeyId: entry,
  controlKeyPem: entry,
});

/** Undefined when there is no Secret. Throws RulingError SECRET_INVALID, KubeError. */
export async function readAuthoritySecret(
  client: Pick<KubeClient, "get">,
): Promise<AuthoritySecrets | undefined> {
  const secret = await findObject(client, SECRETS, AUTHORITY_SECRET);
  return secret && secretsFrom(secret);
}

/** Makes the keys. Throws KubeError ALREADY_EXISTS when somebody else just did. */
export async function createAuthoritySecret(
  client: Pick<KubeClient, "create">,
  trustDomain: string,
  nowSeconds: number,
): Promise<AuthoritySecrets> {
  const secrets = await generateAuthoritySecrets(trustDomain, nowSeconds);
  await client.create(SECRETS, {
    apiVersion: SECRETS.apiVersion,
    kind: SECRETS.kind,
    metadata: { name: AUTHORITY_SECRET },
    type: "fabric.saf.dev/authority",
    immutable: true,
    data: Object.fromEntries(Object.entries(secrets).map(([name, text]) => [name, toBase64(text as string)])),
  });
  return secrets;
}

export function caPinOf({ caCertificatePem }: AuthoritySecrets): string {
  return pinOfSpki(spkiOf(new X509Certificate(caCertificatePem).publicKey));
}

function secretsFrom({ data = {} }: Secret): AuthoritySecrets {
  const texts = Object.fromEntries(Object.entries(data).map(([name, value]) => [name, fromBase64(value)]));
  const parsed = entries.safeParse(texts);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map(({ path }) => path.join(".")).join(", ");
  throw new RulingError("SECRET_INVALID", `the Secret ${AUTHORITY_SECRET} lacks usable entries: ${names}`);
}

function toBase64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

function fromBase64(value: string): string {
  return Buffer.from(value, "base64").toString("utf8");
}
