/** Errors of the HTTP APIs: problem documents (RFC 9457) with a stable code. */
import { z } from "zod";

/** HTTP status of each code of the enrolment API. */
export const ENROLMENT_ERRORS = {
  TOKEN_UNKNOWN: 401,
  TOKEN_EXPIRED: 403,
  TOKEN_REVOKED: 403,
  TOKEN_EXHAUSTED: 403,
  WRONG_CLUSTER: 403,
  ROLE_NOT_ALLOWED: 403,
  REVOKED: 403,
  /** Service accounts (docs/wire/enrolment.md says when each is said). */
  SERVICE_ACCOUNTS_OFF: 403,
  SERVICE_ACCOUNT_TOKEN_REFUSED: 401,
  SERVICE_ACCOUNT_NOT_ALLOWED: 403,
  POD_UNPROVED: 403,
  POD_ENDED: 403,
  POD_ALREADY_USED: 409,
  NODE_NAME_MISMATCH: 403,
  SOURCE_NOT_NODE: 403,
  ATTESTATION_UNAVAILABLE: 503,
  CSR_INVALID: 400,
  CSR_KEY_MISMATCH: 400,
  CSR_FORBIDDEN_SAN: 400,
  SIGNATURE_INVALID: 401,
  TIMESTAMP_OUT_OF_RANGE: 401,
  REPLAYED: 409,
  NODE_NAME_TAKEN: 409,
  BODY_TOO_LARGE: 413,
  BODY_INVALID: 400,
  RATE_LIMITED: 429,
  NOT_FOUND: 404,
  LEDGER_UNAVAILABLE: 503,
  NOT_LEADING: 503,
  INTERNAL: 500,
} as const;
export type EnrolmentErrorCode = keyof typeof ENROLMENT_ERRORS;

export const problem = z.object({
  type: z.string().max(256),
  title: z.string().max(256),
  status: z.int(),
  code: z.string().max(64),
  detail: z.string().max(1024),
  /** The request that it answers, as the server's log names it: `urn:uuid:…`. */
  instance: z.string().max(128).optional(),
});
export type Problem = z.infer<typeof problem>;

/** The same id on every answer, refusal or not, without `urn:uuid:`. */
export const REQUEST_ID_HEADER = "x-request-id";

export const PROBLEM_MEDIA_TYPE = "application/problem+json";
