/** Reads what ping(8) prints. */

export interface PingReport {
  /** Round trips of the answered echoes, in the order of their answers, milliseconds. */
  readonly roundTripsMs: readonly number[];
  /** By the summary; 0 where there is none. */
  readonly sent: number;
  readonly received: number;
}

/** Lines that say something else are passed over: ping also prints what routers told it. */
export function parsePings(text: string): PingReport {
  const roundTripsMs = [...text.matchAll(/\bicmp_seq=\d+ .*\btime=(\d+(?:\.\d+)?) ms/g)].map(([, ms]) =>
    Number(ms),
  );
  const [, sent = "0", received = "0"] =
    /^(\d+) packets transmitted, (\d+) (?:packets )?received/m.exec(text) ?? [];
  return { roundTripsMs, sent: Number(sent), received: Number(received) };
}
