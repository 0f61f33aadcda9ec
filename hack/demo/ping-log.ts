/** Reads what ping(8) prints and says which echoes never came back. */

/** How many echoes came back, and how many before the last of them did not. Echoes still under way at the end are no loss. */
export interface PingCount {
  readonly received: number;
  readonly lost: number;
  /** Longest run of lost echoes, as time. */
  readonly longestGapMs: number;
}

export function countPings(output: string, intervalMs: number): PingCount {
  const replies = new Set<number>();
  for (const [, sequence] of output.matchAll(/bytes from .*icmp_seq=(\d+)/g)) replies.add(Number(sequence));
  const last = Math.max(0, ...replies);
  let lost = 0;
  let gap = 0;
  let longest = 0;
  for (let sequence = 1; sequence <= last; sequence += 1) {
    gap = replies.has(sequence) ? 0 : gap + 1;
    lost += gap > 0 ? 1 : 0;
    longest = Math.max(longest, gap);
  }
  return { received: replies.size, lost, longestGapMs: longest * intervalMs };
}
