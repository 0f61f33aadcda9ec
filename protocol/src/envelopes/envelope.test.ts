import fc from "fast-check";
import {
  decodeEnvelope,
  encodeEnvelope,
  EnvelopeError,
  fromAgent,
  fromOperator,
  MAX_ENVELOPE_BYTES,
} from "./envelope.ts";

test("an envelope comes back as it was sent", () => {
  const sent = { kind: "refused", body: { code: "REVOKED", message: "lost laptop" } } as const;
  const { kind, payload } = encodeEnvelope(sent);
  expect(decodeEnvelope(fromOperator, kind, payload)).toEqual(sent);
});

test("a node cannot speak as the operator", () => {
  const { kind, payload } = encodeEnvelope({ kind: "document", body: { jws: "x" } });
  expect(() => decodeEnvelope(fromAgent, kind, payload)).toThrow(
    expect.objectContaining({ code: "ENVELOPE_UNKNOWN" }),
  );
});

test("garbage is refused with a code", () => {
  const kind = fc.constantFrom("heartbeat", "renew", "__proto__", "toString", "x");
  fc.assert(
    fc.property(kind, fc.uint8Array({ maxLength: 200 }), (name, bytes) => {
      expect(() => decodeEnvelope(fromAgent, name, bytes)).toThrow(EnvelopeError);
    }),
  );
  expect(() => decodeEnvelope(fromAgent, "renew", new Uint8Array(MAX_ENVELOPE_BYTES + 1))).toThrow(
    expect.objectContaining({ code: "ENVELOPE_TOO_LARGE" }),
  );
});
