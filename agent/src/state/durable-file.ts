/**
 * One small record that survives kill -9, a full disk and a damaged sector.
 *
 * On disk: one header line `saf-state/1 <payload bytes> <sha256 of the payload, hex>`, then the payload. Two generations are
 * kept, `<name>` and `<name>.previous`; a generation that does not match its header is never believed.
 *
 * save: 1. keep the intact current generation as the previous one (a hard link renamed into place)
 *       2. replace the current one (replace-file.ts)
 *       3. a first save has no previous generation, so it is written twice
 * load: current if intact, else previous (and says so, and puts it back as current), else STATE_CORRUPT
 */
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { AgentError, codeIn } from "../errors.ts";
import { discard, replaceFile, syncFolder, writeError, type FileSystem } from "./replace-file.ts";

export interface DurableFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  /** Default 0600. */
  readonly mode?: number;
  /** Default: the real one. */
  readonly files?: FileSystem;
}

export type Loaded =
  | { readonly status: "absent" }
  | { readonly status: "intact"; readonly payload: string }
  /** The newest generation was damaged; this is the one before it. */
  | { readonly status: "recovered"; readonly payload: string };

export interface DurableFile {
  readonly name: string;
  /** Throws AgentError STATE_CORRUPT or STATE_READ_FAILED. */
  load(): Promise<Loaded>;
  /** Throws AgentError STATE_TOO_LARGE, STATE_DISK_FULL or STATE_WRITE_FAILED; what was saved before is kept. */
  save(payload: string): Promise<void>;
  /** Forgets both generations. */
  erase(): Promise<void>;
}

type Generation =
  { readonly status: "absent" | "damaged" } | { readonly status: "intact"; readonly payload: string };

/** The line that carries version, length and checksum. */
const MAX_HEADER_BYTES = 128;
const HEADER = /^saf-state\/1 (\d{1,10}) ([0-9a-f]{64})\n/;

export function durableFile({
  path: current,
  maxBytes,
  mode = 0o600,
  files = fs,
}: DurableFileOptions): DurableFile {
  const previous = `${current}.previous`;
  const name = path.basename(current);
  let turn: Promise<unknown> = Promise.resolve();

  /** One save at a time: a second caller waits, and a failed one does not stop the next. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work, work);
    turn = result.catch(() => undefined);
    return result;
  }

  async function load(): Promise<Loaded> {
    const newest = await readGeneration(files, current, maxBytes);
    if (newest.status === "intact") return newest;
    const older = await readGeneration(files, previous, maxBytes);
    if (older.status === "intact") {
      await replaceFile(files, current, encode(older.payload), mode).catch(() => undefined); // healed at the next save otherwise
      return { status: "recovered", payload: older.payload };
    }
    if (newest.status === "absent" && older.status === "absent") return { status: "absent" };
    throw new AgentError("STATE_CORRUPT", `${name} is damaged and has no intact previous generation`);
  }

  async function save(payload: string): Promise<void> {
    const content = encode(payload);
    if (content.length > maxBytes)
      throw new AgentError("STATE_TOO_LARGE", `${name} would exceed ${maxBytes} bytes`);
    const newest = await readGeneration(files, current, maxBytes);
    if (newest.status === "intact") await keepAsPrevious();
    await replaceFile(files, current, content, mode);
    if (newest.status === "absent") await replaceFile(files, previous, content, mode);
  }

  async function keepAsPrevious(): Promise<void> {
    const link = `${previous}.next`;
    try {
      await discard(files, link);
      await files.link(current, link);
      await files.rename(link, previous);
    } catch (error) {
      throw writeError(previous, error);
    }
  }

  async function erase(): Promise<void> {
    for (const file of [current, previous]) await discard(files, file);
    await syncFolder(files, path.dirname(current));
  }

  return {
    name,
    load: () => inTurn(load),
    save: (payload) => inTurn(() => save(payload)),
    erase: () => inTurn(erase),
  };
}

function encode(payload: string): Buffer {
  const bytes = Buffer.from(payload, "utf8");
  return Buffer.concat([Buffer.from(`saf-state/1 ${bytes.length} ${sha256(bytes)}\n`), bytes]);
}

async function readGeneration(files: FileSystem, target: string, maxBytes: number): Promise<Generation> {
  const content = await readBounded(files, target, maxBytes + MAX_HEADER_BYTES);
  if (!content) return { status: "absent" };
  const [header, length, digest] =
    HEADER.exec(content.subarray(0, MAX_HEADER_BYTES).toString("latin1")) ?? [];
  if (!header) return { status: "damaged" };
  const payload = content.subarray(header.length);
  if (payload.length !== Number(length) || sha256(payload) !== digest) return { status: "damaged" };
  return { status: "intact", payload: payload.toString("utf8") };
}

/** The first `maxBytes + 1` bytes: a file that has grown beyond its bound fails its checksum instead of filling memory. */
async function readBounded(files: FileSystem, target: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    await using handle = await files.open(target, "r");
    const buffer = Buffer.alloc(Math.min((await handle.stat()).size, maxBytes + 1));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (codeIn(error) === "ENOENT") return undefined;
    throw new AgentError("STATE_READ_FAILED", `cannot read ${path.basename(target)}`, { cause: error });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
