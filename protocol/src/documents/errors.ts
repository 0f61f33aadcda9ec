export type DocumentErrorCode =
  | "TOO_LARGE"
  | "MALFORMED"
  | "WRONG_TYPE"
  | "UNKNOWN_KEY"
  | "BAD_SIGNATURE"
  | "WRONG_CLUSTER"
  | "OUT_OF_SCOPE"
  | "LOWER_TERM"
  | "LOWER_EPOCH"
  | "EXPIRED"
  | "NOT_YET_VALID"
  | "INVALID_BODY";

/** A document that must not be believed. The code says why; the document before it stays in force. */
export class DocumentError extends Error {
  readonly code: DocumentErrorCode;
  constructor(code: DocumentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DocumentError";
    this.code = code;
  }
}
