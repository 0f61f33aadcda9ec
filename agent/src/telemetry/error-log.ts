/** The last errors, for `fabric status`: bounded, newest first, the same error in a row counted instead of repeated. */
import { codeOf, messageOf } from "../errors.ts";

/** A screenful. */
const MAX_ERRORS = 16;
/** A line or two on a screen. */
const MAX_MESSAGE_LENGTH = 256;

export interface LoggedError {
  readonly code: string;
  readonly message: string;
  /** Unix seconds of the latest. */
  readonly at: number;
  readonly count: number;
}

export interface ErrorLog {
  record(error: unknown, nowSeconds: number): LoggedError;
  list(): readonly LoggedError[];
}

export function createErrorLog(): ErrorLog {
  let errors: readonly LoggedError[] = [];

  function record(error: unknown, nowSeconds: number): LoggedError {
    const code = codeOf(error);
    const message = messageOf(error).slice(0, MAX_MESSAGE_LENGTH);
    const [newest, ...older] = errors;
    const repeated = newest?.code === code && newest.message === message;
    const logged = { code, message, at: nowSeconds, count: repeated ? newest.count + 1 : 1 };
    errors = [logged, ...(repeated ? older : errors)].slice(0, MAX_ERRORS);
    return logged;
  }

  return { record, list: () => errors };
}
