/** The bounds of the enrolment API, each with its reason. */
import type { BucketRate } from "./rate-limiter.ts";

export interface EnrolmentLimits {
  /** All requests of one source: a hundred nodes behind one NAT may poll, and a flood costs a map look-up each. */
  readonly requestsPerSource: BucketRate;
  /** Joins of one source: a hundred nodes behind one NAT may join at once; the next hundred take a minute and a half. */
  readonly joinsPerSource: BucketRate;
  /** New connections of one source, refused before the TLS handshake, which costs more than all else here. */
  readonly connectionsPerSource: BucketRate;
  /** Open at once by one source, so that it cannot hold every socket there is. */
  readonly openPerSource: number;
  /**
   * Joins with one token whose secret was right: no more at once than a token may have uses, and ten times what one source may
   * go on with, so that a flood by one who knows the token does not lock out the others. Wrong secrets count to their source
   * alone, else anyone could lock any token.
   */
  readonly joinsPerToken: BucketRate;
  /** Sockets of the whole API: each waiting node holds one. */
  readonly openConnections: number;
  /** Polls that wait at once; one more is answered at once. */
  readonly waiting: number;
  /** Header section of a request: ours are under 1 KiB. */
  readonly headerBytes: number;
  /** From connection to complete headers, and to complete body: even a slow mobile link sends 64 KiB in this time. */
  readonly handshakeMs: number;
  readonly headersMs: number;
  readonly requestMs: number;
}

/** Each with its reason in the interface above it. */
export const ENROLMENT_LIMITS: EnrolmentLimits = {
  requestsPerSource: { burst: 300, perSecond: 8 },
  joinsPerSource: { burst: 120, perSecond: 1 },
  connectionsPerSource: { burst: 200, perSecond: 20 },
  openPerSource: 256,
  joinsPerToken: { burst: 1000, perSecond: 10 },
  openConnections: 2048,
  waiting: 1024,
  headerBytes: 8 * 1024,
  handshakeMs: 5_000,
  headersMs: 5_000,
  requestMs: 15_000,
};
