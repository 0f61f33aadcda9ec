/** The layout of the engine's socket: length (u32 big-endian), then one MessagePack map of that length. */
import { decode, encode } from "@msgpack/msgpack";
import { EngineError } from "./errors.ts";
import {
  type Event,
  type CommandError,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_PEERS,
  type Request,
} from "./generated/messages.ts";

const LENGTH_BYTES = 4;
/** Nothing in a message is longer than its list of peers; a hostile header can't make us allocate more. */
const DECODE_BOUNDS = {
  maxArrayLength: MAX_PEERS,
  maxMapLength: MAX_PEERS,
  maxBinLength: MAX_PAYLOAD_BYTES,
  maxStrLength: MAX_PAYLOAD_BYTES,
  maxExtLength: 0,
};

/** A message of the engine whose outer shape was checked; a result has the shape that its command promises. */
export type Incoming =
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly error: CommandError }
  | { readonly kind: "event"; readonly event: Event };

/** Throws EngineError FRAME_TOO_LARGE. */
export function encodeRequest(request: Request): Uint8Array {
  const body = encode(request);
  if (body.length > MAX_FRAME_BYTES) {
    throw new EngineError("FRAME_TOO_LARGE", `request of ${body.length} bytes, at most ${MAX_FRAME_BYTES}`);
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

/** Throws EngineError MALFORMED. */
export function decodeMessage(frame: Uint8Array): Incoming {
  const message = decodeMap(frame);
  if (isMap(message["event"]) && typeof message["event"]["type"] === "string") {
    return { kind: "event", event: message["event"] as Event };
  }
  const { id, result, error } = message;
  if (isId(id) && isMap(result)) return { kind: "result", id, result };
  if (isId(id) && isCommandError(error)) return { kind: "failure", id, error };
  throw new EngineError("MALFORMED", "neither a reply nor an event");
}

/** Cuts a byte stream into frames; keeps at most one incomplete frame, whose length was checked first. */
export class FrameReader {
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  get bufferedBytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next complete frame without its length, or null. Throws EngineError FRAME_TOO_LARGE. */
  next(): Uint8Array | null {
    if (this.#bytes < LENGTH_BYTES) return null;
    const length = this.#front(LENGTH_BYTES).readUInt32BE();
    if (length > MAX_FRAME_BYTES) {
      throw new EngineError("FRAME_TOO_LARGE", `frame of ${length} bytes, at most ${MAX_FRAME_BYTES}`);
    }
    if (this.#bytes < LENGTH_BYTES + length) return null;
    const whole = this.#front(LENGTH_BYTES + length);
    this.#drop(LENGTH_BYTES + length);
    return whole.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  }

  /** At least the first `bytes` bytes in one piece. Chunks are joined only when a frame needs them all. */
  #front(bytes: number): Buffer {
    if ((this.#chunks[0]?.length ?? 0) < bytes) {
      this.#chunks = bytes === LENGTH_BYTES ? this.#joinedFront(bytes) : [Buffer.concat(this.#chunks)];
    }
    const first = this.#chunks[0] ?? new Uint8Array();
    return Buffer.from(first.buffer, first.byteOffset, first.length);
  }

  /** Joins only as many chunks as hold `bytes`, so that a large frame in many chunks is not copied for each of them. */
  #joinedFront(bytes: number): Uint8Array[] {
    let count = 0;
    for (let held = 0; held < bytes; count += 1) held += this.#chunks[count]?.length ?? bytes;
    return [Buffer.concat(this.#chunks.slice(0, count)), ...this.#chunks.slice(count)];
  }

  #drop(bytes: number): void {
    const [first, ...rest] = this.#chunks;
    this.#bytes -= bytes;
    this.#chunks = first && first.length > bytes ? [first.subarray(bytes), ...rest] : rest;
  }
}

function decodeMap(frame: Uint8Array): Record<string, unknown> {
  let message: unknown;
  try {
    message = decode(frame, DECODE_BOUNDS);
  } catch (cause) {
    throw new EngineError("MALFORMED", "not MessagePack", { cause });
  }
  if (!isMap(message)) throw new EngineError("MALFORMED", "not a map");
  return message;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function isCommandError(value: unknown): value is CommandError {
  return isMap(value) && typeof value["code"] === "string" && typeof value["message"] === "string";
}
