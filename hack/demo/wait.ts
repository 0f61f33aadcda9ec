/** Waits for a claim about a running system to become true. */

export interface Patience {
  readonly timeoutMs: number;
  /** How long between looks. */
  readonly everyMs?: number;
}

/**
 * Looks until `look` returns a value, and resolves to it; a look that throws counts as not yet.
 * Rejects after the timeout with what the last look said.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  { timeoutMs, everyMs = 50 }: Patience,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  } while (performance.now() < deadline);
  throw new Error(`${what}: not within ${timeoutMs / 1000} s`, last === undefined ? {} : { cause: last });
}

/** Throws unless the claim holds: a step's way to say that it failed. */
export function require(claim: boolean, otherwise: string): asserts claim {
  if (!claim) throw new Error(otherwise);
}
