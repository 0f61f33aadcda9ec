export type RulingErrorCode =
  /** The Secret with the authority's keys is damaged. */
  | "SECRET_INVALID"
  /** The Cluster kept changing while the authority was claimed. */
  | "CLAIM_CONTESTED";

export class RulingError extends Error {
  readonly code: RulingErrorCode;
  constructor(code: RulingErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RulingError";
    this.code = code;
  }
}
