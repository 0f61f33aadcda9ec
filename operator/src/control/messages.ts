/** What nodes say on their control sessions, and what the operator answers. Who speaks is known from the session. */
import { isDeepStrictEqual } from "node:util";
import {
  decodeEnvelope,
  EnvelopeError,
  fromAgent,
  type Heartbeat,
  type OperatorEnvelope,
} from "@saf/protocol";
import { createRateLimiter, type BucketRate } from "../api/rate-limiter.ts";
import type { Authority } from "../authority/authority.ts";
import type { Clock } from "../kube/clock.ts";
import type { Log } from "../telemetry/log.ts";
import type { OperatorMetrics } from "../telemetry/operator-metrics.ts";
import type { Fleet } from "./fleet.ts";

/** A full heartbeat is about 2 KiB, a renewal 1 KiB. Looked at before anything is parsed. */
const MAX_PAYLOAD_BYTES = 16 * 1024;
/** An agent renews after half of a certificate's life, which is a minute at the very least. */
const RENEWAL_GAP_MS = 5_000;
/** An honest agent says something every 5 s and after each snapshot, of which there are five a second at most. What is more is not read. */
const MESSAGES: BucketRate = { burst: 100, perSecond: 5 };
/** A change of candidates makes an epoch for the whole fabric: one node must not make them at will. A roaming one needs few. */
const MOVES: BucketRate = { burst: 10, perSecond: 0.1 };

export interface MessageHandlerInit {
  readonly authority: Pick<Authority, "issueNodeCertificate">;
  readonly fleet: Pick<Fleet, "heard" | "facts">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<OperatorMetrics, "message">;
  /** The id of a node's session, for the logs of both sides. */
  readonly sessionOf: (nodeId: string) => string | undefined;
  readonly reply: (nodeId: string, envelope: OperatorEnvelope) => Promise<unknown>;
  readonly onRenewed: (nodeId: string) => void;
}

export type MessageHandler = (nodeId: string, kind: string, payload: Uint8Array) => Promise<void>;

export function createMessageHandler(init: MessageHandlerInit): MessageHandler {
  const { fleet, clock, log, reply } = init;
  const renewals = new Map<string, number>();
  const nowMs = (): number => clock.nowMs();
  const messages = createRateLimiter(MESSAGES, nowMs);
  const moves = createRateLimiter(MOVES, nowMs);

  /** A node that moves too often stays where it was; its next heartbeat asks again. */
  const placed = (nodeId: string, body: Heartbeat): Heartbeat => {
    const { candidates } = fleet.facts(nodeId);
    if (candidates === null || isDeepStrictEqual(candidates, body.candidates)) return body;
    return moves.take(nodeId) === 0 ? body : { ...body, candidates: [...candidates] };
  };

  const heartbeat = async (nodeId: string, body: Heartbeat): Promise<void> => {
    fleet.heard(nodeId, placed(nodeId, body), clock.nowMs());
    const time = Math.floor(clock.nowMs() / 1000);
    const observed = fleet.facts(nodeId).session?.remote;
    const session = init.sessionOf(nodeId);
    const seen = { ...(observed && { observed }), ...(session && { session }) };
    await reply(nodeId, { kind: "heartbeat-ack", body: { sequence: body.sequence, time, ...seen } });
  };

  const renew = async (nodeId: string, csrPem: string): Promise<void> => {
    const sinceMs = clock.nowMs() - (renewals.get(nodeId) ?? -Infinity);
    if (sinceMs < RENEWAL_GAP_MS)
      return refuse(nodeId, "RATE_LIMITED", "a certificate was issued a moment ago");
    renewals.set(nodeId, clock.nowMs());
    try {
      const { chainPem } = await init.authority.issueNodeCertificate({ nodeId, csrPem });
      await reply(nodeId, { kind: "renewed", body: { certificateChain: [...chainPem] } });
      init.onRenewed(nodeId);
    } catch (error) {
      renewals.delete(nodeId);
      log.warn({ nodeId, error }, "certificate not renewed");
      await refuse(nodeId, ...refusalFor(error));
    }
  };

  const refuse = async (nodeId: string, code: string, message: string): Promise<void> => {
    await reply(nodeId, { kind: "refused", body: { code, message: message.slice(0, 512) } });
  };

  return async (nodeId, kind, payload) => {
    if (messages.take(nodeId) > 0) return init.metrics.message(kind, "limited");
    try {
      if (payload.length > MAX_PAYLOAD_BYTES)
        throw new EnvelopeError("ENVELOPE_TOO_LARGE", `${kind} is too large`);
      const envelope = decodeEnvelope(fromAgent, kind, payload);
      if (envelope.kind === "heartbeat") await heartbeat(nodeId, envelope.body);
      else await renew(nodeId, envelope.body.csr);
      init.metrics.message(kind, "taken");
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      init.metrics.message(kind, "refused");
      log.warn({ nodeId, kind: kind.slice(0, 64), code: error.code }, "message refused");
      await refuse(nodeId, error.code, error.message);
    }
  };
}

/** What a node may know of a failure: coded refusals are for it, the rest is the operator's own trouble. */
const TOLD = new Set(["CSR_INVALID", "CSR_FORBIDDEN_SAN", "CSR_KEY_MISMATCH", "REVOKED", "IDENTITY_UNKNOWN"]);

function refusalFor(error: unknown): [code: string, message: string] {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  if (error instanceof Error && typeof code === "string" && TOLD.has(code)) return [code, error.message];
  return ["UNAVAILABLE", "the operator cannot issue a certificate now; ask again"];
}
