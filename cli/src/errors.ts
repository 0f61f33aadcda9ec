/** How `fabric` fails: one line with a stable code and, where there is one, a hint; and an exit code for scripts. */

/** Documented in docs/cli.md; never renumber. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unreachable: 5,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface CliErrorInit {
  exit: ExitCode;
  /** What to do about it. */
  hint?: string | undefined;
  cause?: unknown;
}

/** `code` is ours, or the one that the operator, the agent or the API server answered with. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: string;
  readonly exit: ExitCode;
  readonly hint: string | undefined;

  constructor(code: string, message: string, init: CliErrorInit) {
    super(message, { cause: init.cause });
    this.code = code;
    this.exit = init.exit;
    this.hint = init.hint;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError("USAGE", message, { exit: EXIT.usage, hint });
}

/** Anything thrown, as a CliError; what was not foreseen is INTERNAL. */
export function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CliError("INTERNAL", message, { exit: EXIT.failure, cause: error });
}
