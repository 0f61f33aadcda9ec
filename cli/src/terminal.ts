/** Where `fabric` writes: results to stdout (so that they can be piped), everything said about them to stderr. */
import { type CliError } from "./errors.ts";
import { printable } from "./format/printable.ts";

export type OutputFormat = "table" | "json";

export interface Terminal {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** One document on stdout: as JSON for scripts, or as the text that `render` makes of it for people. */
export function printResult<T>(
  terminal: Terminal,
  format: OutputFormat,
  result: T,
  render: (result: T) => string,
): void {
  terminal.stdout(`${format === "json" ? JSON.stringify(result, null, 2) : render(result)}\n`);
}

/** A remark for people; scripts read stdout. */
export function note(terminal: Terminal, text: string): void {
  terminal.stderr(`${printable(text)}\n`);
}

export function printError(terminal: Terminal, format: OutputFormat, error: CliError): void {
  const { code, message, hint } = error;
  if (format === "json") {
    terminal.stderr(`${JSON.stringify({ error: { code, message, hint } })}\n`);
    return;
  }
  const advice = hint === undefined ? "" : ` — ${hint}`;
  terminal.stderr(`fabric: ${code}: ${printable(message)}${printable(advice)}\n`);
}
