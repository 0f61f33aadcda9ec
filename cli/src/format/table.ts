/** Tables as kubectl prints them: capital headers, three blanks between columns, nothing to the right of the last. */
import { printable } from "./printable.ts";

export type Cell = string | number | null | undefined;

const GAP = "   ";
const EMPTY = "-";

export function formatTable(headers: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const lines = [headers, ...rows.map((row) => row.map(cellText))];
  const widths = headers.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join("\n");
}

/** `name   value` lines for one object. */
export function formatFields(fields: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}${GAP}${cellText(value)}`).join("\n");
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined || cell === "") return EMPTY;
  return printable(String(cell));
}
