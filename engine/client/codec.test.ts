import { decode, encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { decodeMessage, encodeRequest, FrameReader } from "./codec.ts";
import { EngineError } from "./errors.ts";
import { MAX_FRAME_BYTES } from "./generated/messages.ts";

function framed(body: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

function framesOf(reader: FrameReader): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = reader.next(); frame; frame = reader.next()) frames.push(Uint8Array.from(frame));
  return frames;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  return "none";
}

const bodies = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });

describe("FrameReader", () => {
  it("gives the frames that went in, however the bytes are cut", () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(framed));
        const reader = new FrameReader();
        const received: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const cut = cuts[turn % cuts.length] ?? 1;
          reader.push(bytes.subarray(at, at + cut));
          received.push(...framesOf(reader));
          at += cut;
        }
        expect(received).toEqual(sent);
        expect(reader.bufferedBytes).toBe(0);
      }),
    );
  });

  it("refuses an oversized frame by its length alone", () => {
    const reader = new FrameReader();
    const length = Buffer.alloc(4);
    length.writeUInt32BE(MAX_FRAME_BYTES + 1);
    reader.push(length);
    expect(codeOf(() => reader.next())).toBe("FRAME_TOO_LARGE");
  });

  it("waits for a frame of the greatest length", () => {
    const reader = new FrameReader();
    const length = Buffer.alloc(4);
    length.writeUInt32BE(MAX_FRAME_BYTES);
    reader.push(length);
    expect(reader.next()).toBeNull();
  });
});

describe("decodeMessage", () => {
  it("fails with MALFORMED and nothing else on arbitrary bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(["MALFORMED", "none"]).toContain(codeOf(() => decodeMessage(bytes)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("fails with MALFORMED on every map that is neither a reply nor an event", () => {
    const notMessages = [
      null,
      7,
      "text",
      [],
      {},
      { id: 1 },
      { id: 1, result: 7 },
      { id: -1, result: {} },
      { id: 1.5, result: {} },
      { id: "1", result: {} },
      { result: {} },
      { id: 1, error: {} },
      { id: 1, error: { code: 7, message: "x" } },
      { event: {} },
      { event: { type: 7 } },
      { event: "sessionReady" },
    ];
    for (const value of notMessages) expect(codeOf(() => decodeMessage(encode(value)))).toBe("MALFORMED");
  });

  it("does not allocate what a hostile header announces", () => {
    const arrayOf4Gi = Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff]);
    const binaryOf4Gi = Uint8Array.from([0xc6, 0xff, 0xff, 0xff, 0xff]);
    for (const bytes of [arrayOf4Gi, binaryOf4Gi])
      expect(codeOf(() => decodeMessage(bytes))).toBe("MALFORMED");
  });

  it("reads replies, failures and events", () => {
    expect(decodeMessage(encode({ id: 1, result: { changed: [] } }))).toEqual({
      kind: "result",
      id: 1,
      result: { changed: [] },
    });
    const error = { code: "NO_SESSION", message: "no" };
    expect(decodeMessage(encode({ id: 2, error }))).toEqual({ kind: "failure", id: 2, error });
    const event = { type: "message", peer: "a", kind: "k", payload: Uint8Array.from([1, 2]) };
    expect(decodeMessage(encode({ event }))).toEqual({ kind: "event", event });
  });
});

describe("encodeRequest", () => {
  it("writes the length before the map", () => {
    const frame = encodeRequest({ id: 7, command: { type: "describe" } });
    expect(Buffer.from(frame).readUInt32BE()).toBe(frame.length - 4);
    expect(decode(frame.subarray(4))).toEqual({ id: 7, command: { type: "describe" } });
  });

  it("refuses a request above the bound", () => {
    const payload = new Uint8Array(MAX_FRAME_BYTES);
    const send = { type: "send", peer: "p", kind: "k", payload } as const;
    expect(codeOf(() => encodeRequest({ id: 1, command: send }))).toBe("FRAME_TOO_LARGE");
  });
});
