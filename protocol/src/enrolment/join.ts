/** The enrolment API's bodies, `/v1alpha1/join`. See docs/wire/enrolment.md. */
import { z } from "zod";
import { MAX_CANDIDATES } from "../documents/node-snapshot.ts";
import { MAX_CSR_LENGTH } from "../identity/csr.ts";
import { FINGERPRINT_PATTERN } from "../identity/fingerprint.ts";
import { NODE_ID_PATTERN, NODE_NAME_PATTERN, TRUST_DOMAIN_PATTERN } from "../identity/spiffe.ts";
import { MAX_ENDPOINT_LENGTH } from "../ip/endpoint.ts";
import { PIN_PATTERN, TOKEN_ID_PATTERN } from "../token/token.ts";
import { capabilities, facts } from "./node-facts.ts";

export const JOIN_PATH = "/v1alpha1/join";
/** A join request is about 2 KiB. */
export const MAX_JOIN_BODY_BYTES: number = 64 * 1024;
/** A projected token has about 1.3 KiB. */
export const MAX_SERVICE_ACCOUNT_TOKEN_LENGTH = 8192;
/** Longest a GET may hang, seconds: below the idle timeout of common proxies. */
export const MAX_WAIT_SECONDS = 25;

const endpoint = z.string().max(MAX_ENDPOINT_LENGTH);
const control = z.object({
  endpoints: z.array(endpoint).min(1).max(8),
  spiffeId: z.string().max(128),
  fingerprint: z.string().regex(FINGERPRINT_PATTERN),
});
export type ControlIdentity = z.infer<typeof control>;

export const joinBody = z
  .strictObject({
    /** The fabric cluster the node means to join, when it knows its name. */
    trustDomain: z.string().regex(TRUST_DOMAIN_PATTERN).optional(),
    /** With `secret`: a join token. */
    tokenId: z.string().regex(TOKEN_ID_PATTERN).optional(),
    secret: z.string().regex(PIN_PATTERN).optional(),
    /** Instead of a join token: the projected service-account token of the pod that asks, a JWT. */
    serviceAccountToken: z
      .string()
      .max(MAX_SERVICE_ACCOUNT_TOKEN_LENGTH)
      .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/)
      .optional(),
    nodeName: z.string().regex(NODE_NAME_PATTERN),
    csr: z.string().max(MAX_CSR_LENGTH),
    facts,
    capabilities,
    requestedRoles: z.array(z.string().max(32)).max(16),
    candidates: z.array(endpoint).max(MAX_CANDIDATES),
  })
  .refine((body) => proofOf(body) !== undefined, {
    message: "give either tokenId and secret, or serviceAccountToken",
  });
export type JoinBody = z.infer<typeof joinBody>;

/** Why a host may ask at all. */
export type JoinProof =
  | { readonly type: "JoinToken"; readonly tokenId: string; readonly secret: string }
  | { readonly type: "ServiceAccount"; readonly token: string };

interface Proofs {
  readonly tokenId?: string | undefined;
  readonly secret?: string | undefined;
  readonly serviceAccountToken?: string | undefined;
}

/** Undefined when the body gives none or more than one. */
export function proofOf({ tokenId, secret, serviceAccountToken: token }: Proofs): JoinProof | undefined {
  if (token !== undefined)
    return tokenId === undefined && secret === undefined ? { type: "ServiceAccount", token } : undefined;
  return tokenId === undefined || secret === undefined ? undefined : { type: "JoinToken", tokenId, secret };
}

export const requestIdPattern: RegExp = /^[a-z0-9]([a-z0-9-]{0,70}[a-z0-9])?$/;
export const joinAccepted = z.object({
  requestId: z.string().regex(requestIdPattern),
  state: z.literal("pending"),
});
export type JoinAccepted = z.infer<typeof joinAccepted>;

export const joinStatus = z.discriminatedUnion("state", [
  z.object({ state: z.literal("pending") }),
  z.object({ state: z.literal("denied"), reason: z.string().max(256) }),
  z.object({
    state: z.literal("approved"),
    nodeId: z.string().regex(NODE_ID_PATTERN),
    trustDomain: z.string().regex(TRUST_DOMAIN_PATTERN),
    /** PEM, leaf first. */
    certificateChain: z.array(z.string().max(4096)).min(1).max(4),
    /** Signed trust root. */
    trustRoot: z.string().max(65536),
    control,
  }),
]);
export type JoinStatus = z.infer<typeof joinStatus>;

/** The name of a node's request, which is also the name of its JoinRequest: the same key always asks the same question. */
export function requestIdFor(nodeName: string, fingerprint: string): string {
  return `${nodeName}-${fingerprint.slice(0, 8)}`;
}
