/**
 * The part of the DNS wire format (RFC 1035 §4, EDNS RFC 6891) that a name server needs: one question in, records out. Names inside
 * records that others wrote are never looked into. Every byte that is read lies within the message, or the message is refused.
 */

export const TYPE = { A: 1, NS: 2, SOA: 6, PTR: 12, AAAA: 28, OPT: 41, ANY: 255 } as const;
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
const CLASS_IN = 1;
const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursionAvailable: 0x0080 };
/** Opcode and "recursion desired": what an answer repeats of its query. */
const REPEATED_FLAGS = 0x7900;
const HEADER_LENGTH = 12;
/** RFC 1035 §2.3.4, with the length bytes and the root. */
const MAX_NAME_LENGTH = 255;
/** What every resolver takes over UDP without EDNS. */
const MIN_UDP_BYTES = 512;
/** DNS Flag Day 2020: what passes every path without fragments. */
const MAX_UDP_BYTES = 1232;

export interface Question {
  /** In lower case, without the last dot. A dot or backslash within a label has a backslash before it. */
  readonly name: string;
  readonly type: number;
}

export interface Query {
  readonly id: number;
  readonly flags: number;
  /** Null when there is none to answer, because of `problem`. */
  readonly question: Question | null;
  /** As it came: the answer repeats it byte for byte. */
  readonly questionBytes: Uint8Array;
  readonly edns: boolean;
  /** The longest answer that the asker takes over UDP. */
  readonly udpBytes: number;
  /** Why it can't be answered: a response code. */
  readonly problem: number | null;
}

export interface ResourceRecord {
  /** Absent: the name of the question. */
  readonly name?: string;
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: Uint8Array;
}

export interface Answer {
  readonly rcode: number;
  readonly answers: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
}

/** Null for what deserves no answer at all: too short for a header, or itself an answer. */
export function readQuery(bytes: Uint8Array): Query | null {
  if (bytes.length < HEADER_LENGTH) return null;
  const view = viewOf(bytes);
  const [id, flags] = [view.getUint16(0), view.getUint16(2)];
  if (flags & FLAG.response) return null;
  const none = { question: null, questionBytes: new Uint8Array(), edns: false, udpBytes: MIN_UDP_BYTES };
  const refused = (problem: number): Query => ({ id, flags, ...none, problem });
  if ((flags >> 11) & 15) return refused(RCODE.NOTIMP);
  if (view.getUint16(4) !== 1 || view.getUint16(6) !== 0 || view.getUint16(8) !== 0)
    return refused(RCODE.FORMERR);
  const name = readName(bytes, HEADER_LENGTH);
  if (!name || name.end + 4 > bytes.length) return refused(RCODE.FORMERR);
  const question = { name: name.text, type: view.getUint16(name.end) };
  const questionBytes = bytes.subarray(HEADER_LENGTH, name.end + 4);
  const edns = view.getUint16(10) > 0 ? readEdns(bytes, name.end + 4) : null;
  const badVersion = edns && edns.version > 0 ? RCODE.BADVERS : null;
  const problem = view.getUint16(name.end + 2) === CLASS_IN ? badVersion : RCODE.REFUSED;
  const udpBytes = Math.min(Math.max(edns?.udpBytes ?? 0, MIN_UDP_BYTES), MAX_UDP_BYTES);
  return { id, flags, question, questionBytes, edns: edns !== null, udpBytes, problem };
}

/** At most `maxBytes` long: beyond that it is empty and says that it was truncated, so that the asker comes back over TCP. */
export function writeAnswer(
  query: Query,
  answer: Answer,
  options: { readonly recursive: boolean; readonly maxBytes: number },
): Uint8Array {
  const whole = write(query, answer, options.recursive ? FLAG.recursionAvailable : 0);
  if (whole.length <= options.maxBytes) return whole;
  return write(query, { ...answer, answers: [], authority: [] }, FLAG.truncated);
}

/** The answer that there is none. */
export function failure(rcode: number): Answer {
  return { rcode, answers: [], authority: [] };
}

export function writeQuery(id: number, { name, type }: Question): Uint8Array {
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type);
  tail.writeUInt16BE(CLASS_IN, 2);
  const header = headerOf(id, 0x0100, [1, 0, 0, 0]);
  return Buffer.concat([header, writeName(name), tail]);
}

/** Whether `response` answers exactly this query: same id, same question, byte for byte (RFC 5452 §9.1). */
export function answersTo(query: Uint8Array, response: Uint8Array, questionLength: number): boolean {
  if (response.length < HEADER_LENGTH + questionLength) return false;
  const [asked, said] = [viewOf(query), viewOf(response)];
  if (!(said.getUint16(2) & FLAG.response) || said.getUint16(0) !== asked.getUint16(0)) return false;
  const question = (message: Uint8Array): Uint8Array =>
    message.subarray(HEADER_LENGTH, HEADER_LENGTH + questionLength);
  return said.getUint16(4) === 1 && Buffer.compare(question(query), question(response)) === 0;
}

/** The same message under another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(message);
  viewOf(copy).setUint16(0, id);
  return copy;
}

/** Uncompressed. The labels are ours: DNS labels joined by dots. */
export function writeName(name: string): Uint8Array {
  const labels = name === "" ? [] : name.split(".");
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")])),
    Buffer.of(0),
  ]);
}

function write({ id, flags, questionBytes, edns }: Query, answer: Answer, extraFlags: number): Uint8Array {
  const { rcode, answers, authority } = answer;
  // Who is told that a zone is not ours is not told so by its authority.
  const authoritative = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN ? FLAG.authoritative : 0;
  const said = FLAG.response | (flags & REPEATED_FLAGS) | authoritative | extraFlags | (rcode & 15);
  const counts = [questionBytes.length > 0 ? 1 : 0, answers.length, authority.length, edns ? 1 : 0];
  const records = [...answers, ...authority].map(writeRecord);
  return Buffer.concat([
    headerOf(id, said, counts),
    questionBytes,
    ...records,
    edns ? writeOpt(rcode) : Buffer.of(),
  ]);
}

function headerOf(id: number, flags: number, counts: readonly number[]): Uint8Array {
  const header = Buffer.alloc(HEADER_LENGTH);
  [id, flags, ...counts].forEach((value, index) => header.writeUInt16BE(value, 2 * index));
  return header;
}

function writeRecord({ name, type, ttlSeconds, data }: ResourceRecord): Uint8Array {
  const owner = name === undefined ? Buffer.of(0xc0, HEADER_LENGTH) : writeName(name);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type);
  fixed.writeUInt16BE(CLASS_IN, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

function writeOpt(rcode: number): Uint8Array {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE.OPT, 1);
  opt.writeUInt16BE(MAX_UDP_BYTES, 3);
  opt.writeUInt8(rcode >> 4, 5);
  return opt;
}

/** The first additional record, if it is OPT; others (signatures) mean nothing to us. */
function readEdns(bytes: Uint8Array, at: number): { udpBytes: number; version: number } | null {
  const view = viewOf(bytes);
  if (at + 11 > bytes.length || bytes[at] !== 0 || view.getUint16(at + 1) !== TYPE.OPT) return null;
  return { udpBytes: view.getUint16(at + 3), version: view.getUint8(at + 6) };
}

/** A name without compression: a question has nothing before it to point to. Null when it is none. */
function readName(bytes: Uint8Array, start: number): { text: string; end: number } | null {
  const labels: string[] = [];
  for (let at = start; at < Math.min(bytes.length, start + MAX_NAME_LENGTH);) {
    const length = bytes[at] ?? 0;
    if (length === 0) return { text: labels.join("."), end: at + 1 };
    if (length > 63 || at + 1 + length > bytes.length) return null;
    const label = Buffer.from(bytes.subarray(at + 1, at + 1 + length)).toString("latin1");
    labels.push(
      label.replaceAll(/[.\\]/g, String.raw`\$&`).replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()),
    );
    at += 1 + length;
  }
  return null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
