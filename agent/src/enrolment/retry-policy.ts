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
  /** Since the first attempt with this token. */
  readonly elapsedMs: number;
}

export function endsJoin(error: unknown, { accepted, elapsedMs }: JoinProgress): boolean {
  if (error instanceof AgentError) {
    return accepted ? UNUSABLE.has(error.code) : !PASSING_LOCALLY.has(error.code);
  }
  if (!(error instanceof EnrolmentRefused)) return true;
  if (error.code === "TOKEN_UNKNOWN") return !accepted && elapsedMs > UNKNOWN_TOKEN_GRACE_MS;
  if (error.code === "REVOKED") return true;
  return !accepted && error.status < 500 && !PASSING.has(error.code);
}
