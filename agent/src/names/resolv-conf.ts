/**
 * /etc/resolv.conf while the agent answers: its server in the place of the host's own, and below it, as comments, the original line by
 * line. So one file says everything, wherever a kill may stop us: a file with our mark holds the original, one without is it.
 */
import fs from "node:fs/promises";
import os from "node:os";
import { isIP } from "node:net";
import { AgentError, codeIn } from "../errors.ts";
import { replaceFile } from "../state/replace-file.ts";

/** A resolv.conf is a few hundred bytes, and ours not much more than twice that. */
const MAX_RESOLV_CONF_BYTES = 64 * 1024;
/** resolv.conf(5), MAXNS: what the C library would ask, too. */
const MAX_SERVERS = 3;
const TOO_LONG = `over ${MAX_RESOLV_CONF_BYTES} bytes`;
const MARK = "# fabric-agent answers here";
const KEPT = "#fabric-original#";
/** A mounted file, or a folder that we may not write to: the file itself is written then. */
const NO_RENAME = new Set(["EACCES", "EBUSY", "EPERM", "EROFS", "EXDEV"]);

export interface Pointing {
  readonly server: string;
  readonly zone: string;
  /** What the C library searches where the file names nothing: the host name's own domain. */
  readonly hostDomain: string;
}

// Bytes, not characters, come back as they were: latin1 has one for each.

/** The file that points to us. */
export function pointed(original: string, { server, zone, hostDomain }: Pointing): string {
  const lines = original.split("\n");
  const search = searchOf(lines) ?? (hostDomain === "" ? [] : [hostDomain]);
  return [
    `${MARK} for ${zone} and passes everything else on. The original, below, is put back when it ends.`,
    `nameserver ${server}`,
    `search ${[...search.filter((domain) => domain !== zone), zone].join(" ")}`,
    ...lines.filter((line) => /^(options|sortlist)\s/.test(line)),
    ...lines.map((line) => `${KEPT}${line}`),
  ].join("\n");
}

/** The original within a file of ours; null when the file is not ours. */
export function originalIn(text: string): string | null {
  if (!text.startsWith(MARK)) return null;
  const lines = text.split("\n");
  const from = lines.findIndex((line) => line.startsWith(KEPT));
  if (from < 0) return null;
  return lines
    .slice(from)
    .map((line) => line.slice(KEPT.length))
    .join("\n");
}

/** Whom a resolv.conf asks. */
export function serversIn(original: string): string[] {
  const named = original.split("\n").flatMap((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  const servers = named.filter((text) => isIP(text) !== 0).slice(0, MAX_SERVERS);
  return servers.length > 0 ? servers : ["127.0.0.1"];
}

function searchOf(lines: readonly string[]): string[] | undefined {
  const last = lines.findLast((line) => /^(search|domain)\s/.test(line));
  return last?.trim().split(/\s+/).slice(1);
}

/** The domain of a host whose name has one. */
export function ownDomain(): string {
  return /^[^.]+\.([-a-zA-Z0-9.]+)$/.exec(os.hostname())?.[1] ?? "";
}

/** Makes the file point to us, unless it does already, and tells the original. Throws AgentError RESOLV_CONF. */
export async function pointResolvConf(path: string, to: Pointing): Promise<string> {
  return guarded(path, async () => {
    const file = await read(path);
    const original = originalIn(file.text) ?? file.text;
    const wanted = pointed(original, to);
    if (wanted.length > MAX_RESOLV_CONF_BYTES) throw new RangeError(TOO_LONG);
    if (wanted !== file.text) await write(file, wanted);
    return original;
  });
}

/** Puts the original back, if the file is ours. Throws AgentError RESOLV_CONF. */
export async function restoreResolvConf(path: string): Promise<void> {
  await guarded(path, async () => {
    const file = await read(path);
    const original = originalIn(file.text);
    if (original !== null) await write(file, original);
  });
}

interface ResolvConf {
  /** Where links lead. */
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

async function read(link: string): Promise<ResolvConf> {
  const path = await fs.realpath(link);
  await using handle = await fs.open(path, "r");
  const buffer = Buffer.alloc(MAX_RESOLV_CONF_BYTES + 1);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
  if (bytesRead === buffer.length) throw new RangeError(TOO_LONG);
  return { path, mode: (await handle.stat()).mode & 0o777, text: buffer.toString("latin1", 0, bytesRead) };
}

async function write({ path, mode }: ResolvConf, text: string): Promise<void> {
  const content = Buffer.from(text, "latin1");
  try {
    await replaceFile(fs, path, content, mode);
  } catch (error) {
    if (!(error instanceof Error) || !NO_RENAME.has(codeIn(error.cause) ?? "")) throw error;
    await using handle = await fs.open(path, "r+");
    await handle.write(content, 0, content.length, 0);
    await handle.truncate(content.length);
    await handle.sync();
  }
}

async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const why = codeIn(cause instanceof AgentError ? cause.cause : cause) ?? String(cause);
    throw new AgentError("RESOLV_CONF", `cannot point ${path} to the fabric's names: ${why}`, { cause });
  }
}
