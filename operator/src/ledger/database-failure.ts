/** Tells a database that is away from one that refuses, so that callers need to know one code only. */
import { LedgerError } from "./errors.ts";

/** SQLSTATE classes and codes (PostgreSQL appendix A) after which the same work may succeed. */
const TRANSIENT_SQLSTATE = /^(08...|53...|57P0[1-5]|57014|55P03|40001|40P01|25006|25P03|XX000|58000|58030)$/;
/** libuv's codes for a server that does not answer. */
const TRANSIENT_ERRNO =
  /^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND|EACCES)$/;
/** pg 8 gives these no code. */
const TRANSIENT_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|timeout expired|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end|driver has already been destroyed)/;
const NO_ANSWER = /^(Query read timeout|timeout exceeded|timeout expired)/;

/** A query that the server has not answered: its connection cannot be used again. */
export function isUnanswered(error: unknown): boolean {
  return NO_ANSWER.test(messageOf(error));
}

/** Invalid authorization, no such database, no right to it: somebody has to mend the secret or the grants. */
const LOGIN_SQLSTATE = /^(28...|3D000|42501)$/;
/** pg's own, before the server could say one: SCRAM without a password. */
const LOGIN_MESSAGE = /^(SASL: |client password must be a string)/;

export function asLedgerError(error: unknown): LedgerError {
  if (error instanceof LedgerError) return error;
  if (LOGIN_SQLSTATE.test(codeOf(error)) || LOGIN_MESSAGE.test(messageOf(error)))
    return new LedgerError(
      "DATABASE_LOGIN_REFUSED",
      `the database refuses the login: ${messageOf(error)}; mend user, password or database in what database.url says`,
      { cause: error },
    );
  return isTransient(error)
    ? new LedgerError("LEDGER_UNAVAILABLE", "the database does not answer; try again", {
        cause: error,
      })
    : new LedgerError("LEDGER_FAILED", "the database refused what the ledger asked of it", { cause: error });
}

/** The code of an error from Node or PostgreSQL, or "". By shape: an error may come from another realm. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}

export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === "string" ? message : "";
}

function isTransient(error: unknown): boolean {
  const code = codeOf(error);
  return (
    TRANSIENT_SQLSTATE.test(code) || TRANSIENT_ERRNO.test(code) || TRANSIENT_MESSAGE.test(messageOf(error))
  );
}
