/**
 * What agent and operator say to each other on a control session, besides the session's own frames.
 * The engine carries an envelope as a kind and opaque bytes; the bytes are UTF-8 JSON of the kind's schema. Who the sender is
 * comes from the TLS handshake and is never in the message.
 */
import { z } from "zod";
import { facts, capabilities } from "../enrolment/node-facts.ts";
import { MAX_CSR_LENGTH } from "../identity/csr.ts";
import { MAX_CANDIDATES, MAX_PEERS } from "../documents/node-snapshot.ts";
import { MAX_DOCUMENT_BYTES } from "../documents/document.ts";
import { MAX_ENDPOINT_LENGTH } from "../ip/endpoint.ts";

export const MAX_ENVELOPE_BYTES: number = MAX_DOCUMENT_BYTES;

const count = z.int().nonnegative();

/** The end of the year 9999, unix seconds: what RFC 3339 can write. */
const MAX_TIME = 253_402_300_799;
const time = z.int().min(0).max(MAX_TIME);
const peerCount = z.int().min(0).max(MAX_PEERS);

const applied = z.object({ term: count, epoch: count, issuedAt: time, expiresAt: time });

/** Agent → operator. */
export const fromAgent = {
  heartbeat: z.object({
    sequence: count,
    facts,
    capabilities,
    /** `ip:port` of its own interfaces that peers may try. */
    candidates: z.array(z.string().max(MAX_ENDPOINT_LENGTH)).max(MAX_CANDIDATES),
    /** The snapshot it lives by. */
    applied: applied.nullable(),
    peers: z.object({ known: peerCount, direct: peerCount }),
    degraded: z.boolean(),
    /** Unix seconds. */
    certificateNotAfter: time,
  }),
  renew: z.object({ csr: z.string().max(MAX_CSR_LENGTH) }),
} as const;

/** Operator → agent. */
export const fromOperator = {
  "heartbeat-ack": z.object({
    sequence: count,
    /** Unix seconds. */
    time: count,
    /** `ip:port` that the operator saw the node at when its session began. */
    observed: z.string().max(MAX_ENDPOINT_LENGTH).optional(),
    /** The session, as the operator's log names it. */
    session: z.string().max(64).optional(),
  }),
  document: z.object({ jws: z.string().max(MAX_DOCUMENT_BYTES) }),
  renewed: z.object({ certificateChain: z.array(z.string().max(4096)).min(1).max(4) }),
  /** Why the operator will not do what was asked, or will not have this node any more. */
  refused: z.object({ code: z.string().max(64), message: z.string().max(512) }),
} as const;

type Kinds = Record<string, z.ZodType>;
export type Envelope<Set extends Kinds> = {
  [Kind in keyof Set & string]: { readonly kind: Kind; readonly body: z.infer<Set[Kind]> };
}[keyof Set & string];
export type AgentEnvelope = Envelope<typeof fromAgent>;
export type OperatorEnvelope = Envelope<typeof fromOperator>;
export type Heartbeat = z.infer<typeof fromAgent.heartbeat>;

export class EnvelopeError extends Error {
  readonly code: "ENVELOPE_TOO_LARGE" | "ENVELOPE_UNKNOWN" | "ENVELOPE_MALFORMED";
  constructor(code: EnvelopeError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EnvelopeError";
    this.code = code;
  }
}

export function encodeEnvelope(envelope: AgentEnvelope | OperatorEnvelope): {
  kind: string;
  payload: Uint8Array;
} {
  const payload = new TextEncoder().encode(JSON.stringify(envelope.body));
  if (payload.length > MAX_ENVELOPE_BYTES)
    throw new EnvelopeError("ENVELOPE_TOO_LARGE", `${envelope.kind} is too large`);
  return { kind: envelope.kind, payload };
}

/** Throws EnvelopeError. `kinds` is what this end may be told: fromAgent at the operator, fromOperator at the agent. */
export function decodeEnvelope<Set extends Kinds>(
  kinds: Set,
  kind: string,
  payload: Uint8Array,
): Envelope<Set> {
  const schema = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!schema) throw new EnvelopeError("ENVELOPE_UNKNOWN", "no such kind of message");
  if (payload.length > MAX_ENVELOPE_BYTES)
    throw new EnvelopeError("ENVELOPE_TOO_LARGE", `${kind} is too large`);
  try {
    const body = schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)));
    return { kind, body } as Envelope<Set>;
  } catch (error) {
    throw new EnvelopeError("ENVELOPE_MALFORMED", `not a ${kind}`, { cause: error });
  }
}
