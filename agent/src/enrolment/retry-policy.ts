/** Which failures of a join end it, and which only delay it. */
import { AgentError, EnrolmentRefused } from "../errors.ts";

/** A token that was made a moment ago may not have reached the ledger yet. */
export const UNKNOWN_TOKEN_GRACE_MS = 30_000;

/** Refusals that the same request may not meet again. */
const PASSING = new Set([
  "RATE_LIMITED",
  "REPLAYED",
  "TIMESTAMP_OUT_OF_RANGE",
  "LEDGER_UNAVAILABLE",
  "NOT_LEADING",
]);
const PASSING_LOCALLY = new Set([
  "SERVER_UNREACHABLE",
  "SERVER_RESPONSE_INVALID",
  "STATE_DISK_FULL",
  "STATE_WRITE_FAILED",
]);
/** An answer that was decided, but is not for this node: asking again would bring the same. */
const UNUSABLE = new Set(["MEMBERSHIP_INVALID", "CERTIFICATE_INVALID"]);

export interface JoinProgress {
  /** The server has taken the request: only its decision ends the wait. */
  readonly accepted: boolean;
  /** It asked with a join token, not with its pod's service-account token. */
  readonly byToken: boolean;
  /** Since the first attempt with this token. */
  readonly elapsedMs: number;
}

/**
 * A pod waits through every refusal but the end of its key: what it asks with is renewed under it, and what stands in its way (a
 * Cluster that does not allow it yet, an older node of its name) goes without anybody telling it.
 */
export function endsJoin(error: unknown, { accepted, byToken, elapsedMs }: JoinProgress): boolean {
  if (error instanceof AgentError) {
    return accepted || !byToken ? UNUSABLE.has(error.code) : !PASSING_LOCALLY.has(error.code);
  }
  if (!(error instanceof EnrolmentRefused)) return true;
  if (!byToken) return error.code === "REVOKED";
  if (error.code === "TOKEN_UNKNOWN") return !accepted && elapsedMs > UNKNOWN_TOKEN_GRACE_MS;
  if (error.code === "REVOKED") return true;
  return !accepted && error.status < 500 && !PASSING.has(error.code);
}
