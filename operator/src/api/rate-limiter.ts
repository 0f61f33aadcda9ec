/**
 * Token buckets by key, in memory, bounded: the key unused for longest is forgotten first. Forgetting refills its bucket, so an
 * attacker with more sources than there are buckets is limited by sockets, not here.
 */
export interface BucketRate {
  readonly burst: number;
  readonly perSecond: number;
}

export interface RateLimiter {
  /** Zero when the request may pass, else the seconds after which one may. */
  take(key: string): number;
  readonly size: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** About 1 MB of buckets. */
const MAX_KEYS = 10_000;

/** @param nowMs Milliseconds; a clock that is set back refills nothing. */
export function createRateLimiter(
  { burst, perSecond }: BucketRate,
  nowMs: () => number,
  maxKeys: number = MAX_KEYS,
): RateLimiter {
  // In order of last use: a Map keeps the order of insertion.
  const buckets = new Map<string, Bucket>();

  const refilled = (key: string): Bucket => {
    const atMs = nowMs();
    const before = buckets.get(key);
    if (!before) return { tokens: burst, atMs };
    const gained = (Math.max(0, atMs - before.atMs) / 1000) * perSecond;
    return { tokens: Math.min(burst, before.tokens + gained), atMs };
  };

  const remember = (key: string, bucket: Bucket): void => {
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size <= maxKeys) return;
    const [oldest] = buckets.keys();
    if (oldest !== undefined) buckets.delete(oldest);
  };

  const take = (key: string): number => {
    const bucket = refilled(key);
    const allowed = bucket.tokens >= 1;
    if (allowed) bucket.tokens -= 1;
    remember(key, bucket);
    return allowed ? 0 : Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
  };

  return {
    take,
    get size() {
      return buckets.size;
    },
  };
}
