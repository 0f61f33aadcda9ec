/** The result for a terminal: one row for each contender, medians with their spread. */
import type { Result } from "./result.ts";
import type { Spread } from "./statistics.ts";

export interface Column {
  readonly head: string;
  readonly figure: string;
  readonly digits: number;
}

export const COLUMNS: readonly Column[] = [
  { head: "TCP ×1 Mbit/s", figure: "tcp1.mbits", digits: 0 },
  { head: "TCP ×4", figure: "tcp4.mbits", digits: 0 },
  { head: "IPv6", figure: "tcp1-ipv6.mbits", digits: 0 },
  { head: "CPU s/GB", figure: "tcp1.cpuSecondsPerGb", digits: 2 },
  { head: "200 B packets/s", figure: "udp200.packetsPerSecond", digits: 0 },
  { head: "ping p50 ms", figure: "ping-idle.p50Ms", digits: 2 },
  { head: "p99", figure: "ping-idle.p99Ms", digits: 2 },
  { head: "loaded p50", figure: "ping-loaded.p50Ms", digits: 2 },
  { head: "loaded p99", figure: "ping-loaded.p99Ms", digits: 2 },
  { head: "0.1 % loss Mbit/s", figure: "loss-0.1.mbits", digits: 0 },
  { head: "0.5 %", figure: "loss-0.5.mbits", digits: 0 },
  { head: "1 %", figure: "loss-1.mbits", digits: 0 },
  { head: "5 %", figure: "loss-5.mbits", digits: 0 },
  { head: "0.5 %, 20 ms", figure: "loss-0.5-far.mbits", digits: 0 },
  { head: "RSS MB", figure: "memory.residentMb", digits: 0 },
];

export function formatTable({ contenders, summary, ratios, extras, failures }: Result): string {
  const columns = COLUMNS.filter(({ figure }) => contenders.some(({ name }) => summary[name]?.[figure]));
  const rows = contenders
    .filter(({ name }) => summary[name])
    .map(({ name }) => [
      name,
      ...columns.map(({ figure, digits }) => formatSpread(summary[name]?.[figure], digits)),
    ]);
  const numbers = Object.entries({ ...ratios, ...extras })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `  ${name.padEnd(44)} ${value}`);
  return [
    alignColumns([["", ...columns.map(({ head }) => head)], ...rows]),
    ...numbers,
    ...failures.map(
      ({ contender, measure, round, reason }) => `  ✗ ${contender} ${measure} (${round}): ${reason}`,
    ),
  ].join("\n");
}

/** `median (min–max)`; a dash where nothing was measured. */
export function formatSpread(seen: Spread | undefined, digits: number): string {
  if (seen === undefined) return "–";
  const text = (value: number): string => value.toFixed(digits);
  return seen.count === 1 ? text(seen.median) : `${text(seen.median)} (${text(seen.min)}–${text(seen.max)})`;
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join("  ");
  return rows.map((row) => `  ${line(row)}`).join("\n");
}
