/** What the ledger refuses, by stable code. Only LEDGER_UNAVAILABLE is worth trying again as it is. */
export type LedgerErrorCode =
  /** The term named is not the term in force: another operator rules now. */
  | "FENCED"
  /** The term moved between looking and taking (takeTerm). */
  | "TERM_TAKEN"
  /** This ledger belongs to another trust domain. */
  | "FOREIGN_LEDGER"
  /** The database is away, overloaded or too slow. What was asked may have happened: all of it can be asked again. */
  | "LEDGER_UNAVAILABLE"
  /** The database is there, but lets nobody in with what database.url says, or knows no such database. */
  | "DATABASE_LOGIN_REFUSED"
  /** The ledger was written by a newer version of this program. */
  | "SCHEMA_NEWER"
  | "TOKEN_UNKNOWN"
  | "TOKEN_EXPIRED"
  | "TOKEN_REVOKED"
  | "TOKEN_EXHAUSTED"
  /** A token of that name with another hash exists. */
  | "TOKEN_CONFLICT"
  /** The pod asked with another key before. */
  | "POD_ALREADY_USED"
  | "ROLE_NOT_ALLOWED"
  | "NODE_NAME_TAKEN"
  | "REPLAYED"
  | "REVOKED"
  | "REQUEST_UNKNOWN"
  | "IDENTITY_UNKNOWN"
  | "ADDRESS_POOL_EXHAUSTED"
  /** The embedded PostgreSQL cannot run here (platform, user, path, damaged data); the message says which. */
  | "POSTGRES_UNUSABLE"
  /** The database answered with something that no caller can mend; the cause has it. */
  | "LEDGER_FAILED";

export class LedgerError extends Error {
  readonly code: LedgerErrorCode;
  constructor(code: LedgerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LedgerError";
    this.code = code;
  }
}
