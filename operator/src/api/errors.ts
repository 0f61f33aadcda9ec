/** A refusal of the enrolment API, by the codes of the protocol. Its message is shown to whoever asked. */
import type { EnrolmentErrorCode } from "@saf/protocol";

export class EnrolmentError extends Error {
  readonly code: EnrolmentErrorCode;
  /** For RATE_LIMITED: when to come again. */
  readonly retryAfterSeconds: number | undefined;
  constructor(
    code: EnrolmentErrorCode,
    message: string,
    options?: ErrorOptions & { retryAfterSeconds?: number },
  ) {
    super(message, options);
    this.name = "EnrolmentError";
    this.code = code;
    this.retryAfterSeconds = options?.retryAfterSeconds;
  }
}
