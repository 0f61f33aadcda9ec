export type IdentityErrorCode =
  "SPIFFE_ID_INVALID" | "CSR_INVALID" | "CSR_FORBIDDEN_SAN" | "NODE_NAME_INVALID";

export class IdentityError extends Error {
  readonly code: IdentityErrorCode;
  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "IdentityError";
    this.code = code;
  }
}
