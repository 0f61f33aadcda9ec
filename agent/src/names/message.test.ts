import fc from "fast-check";
import {
  answersTo,
  failure,
  RCODE,
  readQuery,
  TYPE,
  withId,
  writeAnswer,
  writeQuery,
  type Question,
} from "./message.ts";

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const question = fc.record({
  name: fc.array(label, { maxLength: 6 }).map((labels) => labels.join(".")),
  type: fc.constantFrom(...Object.values(TYPE)),
});
const id = fc.nat(0xffff);
const plain = { recursive: false, maxBytes: 512 };

/** A query with an OPT record (RFC 6891). */
function withEdns(query: Uint8Array, udpBytes: number, version = 0): Buffer {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE.OPT, 1);
  opt.writeUInt16BE(udpBytes, 3);
  opt.writeUInt8(version, 6);
  const whole = Buffer.concat([query, opt]);
  whole.writeUInt16BE(1, 10);
  return whole;
}
const read = (bytes: Uint8Array) => {
  const query = readQuery(bytes);
  if (!query) throw new Error("no query");
  return query;
};
const ask = (asked: Question) => writeQuery(7, asked);
const example = ask({ name: "a.example", type: TYPE.A });

it("reads what was asked, whatever the case of its letters", () => {
  fc.assert(
    fc.property(id, question, (number, asked) => {
      const bytes = writeQuery(number, asked);
      expect(read(bytes)).toMatchObject({ id: number, question: asked, edns: false, problem: null });
      const loud = Buffer.from(bytes);
      for (let at = 12; at < loud.length - 4; at += 1) {
        const letter = loud[at] ?? 0;
        if (letter >= 0x61 && letter <= 0x7a) loud[at] = letter - 32;
      }
      expect(read(loud).question).toEqual(asked);
      expect(Buffer.from(read(loud).questionBytes)).toEqual(loud.subarray(12));
    }),
  );
});

it("neither throws nor reads beyond the end, whatever comes", () => {
  const damaged = fc
    .tuple(question, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 8 }), fc.nat(300))
    .map(([asked, changes, length]) => {
      const bytes = withEdns(ask(asked), 4096);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes.subarray(0, length);
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 600 })), (bytes) => {
      const query = readQuery(bytes);
      if (!query) return;
      expect(query.udpBytes).toBeGreaterThanOrEqual(512);
      expect(query.udpBytes).toBeLessThanOrEqual(1232);
      expect(query.questionBytes.length).toBeLessThanOrEqual(Math.max(0, bytes.length - 12));
      const answer = writeAnswer(query, failure(query.problem ?? RCODE.REFUSED), plain);
      expect(answer.length).toBeLessThanOrEqual(512);
      expect(readQuery(answer)).toBeNull();
    }),
    { numRuns: 5000 },
  );
});

it.each<[string, (bytes: Buffer) => Buffer, number]>([
  ["two questions", (bytes) => (bytes.writeUInt16BE(2, 4), bytes), RCODE.FORMERR],
  ["no question", (bytes) => (bytes.writeUInt16BE(0, 4), bytes), RCODE.FORMERR],
  ["an answer within a question", (bytes) => (bytes.writeUInt16BE(1, 6), bytes), RCODE.FORMERR],
  ["a name that points to itself", (bytes) => (bytes.writeUInt16BE(0xc00c, 12), bytes), RCODE.FORMERR],
  ["a label beyond the end", (bytes) => (bytes.writeUInt8(63, 12), bytes), RCODE.FORMERR],
  ["no type", (bytes) => bytes.subarray(0, -4), RCODE.FORMERR],
  ["another operation", (bytes) => (bytes.writeUInt16BE(0x2800, 2), bytes), RCODE.NOTIMP],
  ["another class", (bytes) => (bytes.writeUInt16BE(3, bytes.length - 2), bytes), RCODE.REFUSED],
  ["EDNS of a later version", (bytes) => withEdns(bytes, 1232, 1), RCODE.BADVERS],
])("answers %s with its code", (_, change, rcode) => {
  const query = read(change(Buffer.from(example)));
  expect(query.problem).toBe(rcode);
  const answer = Buffer.from(writeAnswer(query, failure(rcode), plain));
  expect(answer.readUInt16BE(2) & 15).toBe(rcode & 15);
});

it("answers no answer and no fragment", () => {
  const answer = writeAnswer(read(example), failure(RCODE.REFUSED), plain);
  expect(readQuery(answer)).toBeNull();
  expect(readQuery(example.subarray(0, 11))).toBeNull();
});

it("keeps a dot within a label apart from one between labels", () => {
  const odd = Buffer.concat([example.subarray(0, 12), Buffer.from("\x03a.\\\0\0\x01\0\x01", "latin1")]);
  expect(read(odd).question?.name).toBe(String.raw`a\.\\`);
});

it("refuses a name over 255 bytes", () => {
  const long = (labels: number) =>
    ask({ name: Array.from({ length: labels }, () => "x".repeat(62)).join("."), type: 1 });
  expect(read(long(4)).problem).toBeNull();
  expect(read(long(5)).problem).toBe(RCODE.FORMERR);
});

it("says what the asker takes over UDP, within bounds, and stays below it", () => {
  const records = Array.from({ length: 60 }, () => ({ type: TYPE.A, ttlSeconds: 30, data: Buffer.alloc(4) }));
  const answer = { rcode: RCODE.NOERROR, answers: records, authority: [] };
  for (const [asked, granted] of [
    [0, 512],
    [1000, 1000],
    [65_535, 1232],
  ] as const) {
    const query = read(withEdns(example, asked));
    expect(query.udpBytes).toBe(granted);
    const reply = Buffer.from(writeAnswer(query, answer, { recursive: false, maxBytes: query.udpBytes }));
    expect(reply.length).toBeLessThanOrEqual(granted);
    const truncated = (reply.readUInt16BE(2) & 0x0200) !== 0;
    expect(truncated).toBe(granted < 1000);
  }
});

it("believes only the answer to its own question", () => {
  const length = example.length - 12;
  const answer = writeAnswer(read(example), failure(RCODE.NXDOMAIN), plain);
  expect(answersTo(example, answer, length)).toBe(true);
  expect(answersTo(example, withId(answer, 8), length)).toBe(false);
  expect(answersTo(example, example, length)).toBe(false);
  const other = writeAnswer(read(ask({ name: "b.example", type: TYPE.A })), failure(RCODE.NXDOMAIN), plain);
  expect(answersTo(example, other, length)).toBe(false);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void answersTo(example, bytes, length)));
});
