export type AuthorityErrorCode =
  /** The Secret does not hold a usable authority: a part is missing, damaged, or of another trust domain. */
  | "SECRETS_INVALID"
  /** The request proves possession of another key than the identity's. */
  | "CSR_KEY_MISMATCH"
  | "IDENTITY_UNKNOWN"
  | "REVOKED";

export class AuthorityError extends Error {
  readonly code: AuthorityErrorCode;
  constructor(code: AuthorityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AuthorityError";
    this.code = code;
  }
}
