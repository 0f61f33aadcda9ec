/** What can go wrong with the API's own definitions and objects. Codes are stable. */

export type SchemaErrorCode =
  /** An object does not fit its kind's schema. */
  | "INVALID_OBJECT"
  /** A field of a kind lacks a bound or a description: a mistake in the definition, found when generating. */
  | "INVALID_DEFINITION";

export class SchemaError extends Error {
  override readonly name = "SchemaError";
  readonly code: SchemaErrorCode;

  constructor(code: SchemaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
