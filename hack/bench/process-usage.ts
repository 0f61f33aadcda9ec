/** What processes cost, by /proc. */
import { readFileSync } from "node:fs";

/** USER_HZ: fixed at 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of a line of /proc/<pid>/stat. The name in it may hold spaces and parentheses. */
export function parseCpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) throw new TypeError(`no line of /proc/<pid>/stat: ${stat.slice(0, 80)}`);
  return ticks / TICKS_PER_SECOND;
}

/** Resident bytes by /proc/<pid>/status. */
export function parseResidentBytes(status: string): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new TypeError("no VmRSS in /proc/<pid>/status");
  return Number(kilobytes) * 1024;
}

export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + parseCpuSeconds(readFileSync(`/proc/${pid}/stat`, "utf8")), 0);
}

/** Of the largest of the processes. */
export function largestResidentBytes(pids: readonly number[]): number {
  return Math.max(...pids.map((pid) => parseResidentBytes(readFileSync(`/proc/${pid}/status`, "utf8"))));
}
