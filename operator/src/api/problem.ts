/** Turns whatever went wrong into a problem document (RFC 9457) with a code of the protocol. */
import { ENROLMENT_ERRORS, type EnrolmentErrorCode, type Problem } from "@saf/protocol";
import { EnrolmentError } from "./errors.ts";

/** A sentence or two; as the client bounds it. */
const MAX_DETAIL = 1024;

/** Codes of other domains, as this API says them. */
const TRANSLATED: Readonly<Record<string, EnrolmentErrorCode>> = {
  FENCED: "NOT_LEADING",
  IDENTITY_UNKNOWN: "REVOKED",
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
};

export function asEnrolmentError(error: unknown): EnrolmentError {
  if (error instanceof EnrolmentError) return error;
  const { code, message } = describe(error as Partial<Raised>);
  return code !== undefined
    ? new EnrolmentError(code, message, { cause: error })
    : new EnrolmentError("INTERNAL", "the operator failed; its log says how", { cause: error });
}

/** @param requestId of the HTTP request, under which the operator's log has it */
export function problemFor({ code, message }: EnrolmentError, requestId: string): Problem {
  return {
    type: `urn:saf:problem:${code.toLowerCase().replaceAll("_", "-")}`,
    title: code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " "),
    status: ENROLMENT_ERRORS[code],
    code,
    detail: message.slice(0, MAX_DETAIL),
    instance: `urn:uuid:${requestId}`,
  };
}

/** What errors of this program, of fastify and of Node have in common. */
interface Raised {
  readonly code: unknown;
  readonly statusCode: unknown;
  readonly message: unknown;
}

function describe(error: Partial<Raised>): { code: EnrolmentErrorCode | undefined; message: string } {
  return { code: codeOf(error), message: typeof error.message === "string" ? error.message : "" };
}

function codeOf({ code, statusCode }: Partial<Raised>): EnrolmentErrorCode | undefined {
  if (typeof code === "string" && Object.hasOwn(ENROLMENT_ERRORS, code)) return code as EnrolmentErrorCode;
  if (typeof code === "string" && Object.hasOwn(TRANSLATED, code)) return TRANSLATED[code];
  // Fastify's own refusals: no JSON, a damaged length, an impossible path.
  return typeof statusCode === "number" && statusCode >= 400 && statusCode < 500 ? "BODY_INVALID" : undefined;
}
