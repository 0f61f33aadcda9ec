/**
 * `fabric bundle`: what somebody who is to help needs to see, in one file that may leave the host. Every text goes through redact()
 * before it is packed; keys, tokens and Secrets are not read to begin with.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { packTar } from "modern-tar";
import { CliError, EXIT } from "../errors.ts";
import { redact } from "../format/redact.ts";

/** Text by the name that it gets in the bundle. */
export type BundleParts = ReadonlyMap<string, string>;

export interface BundleReport {
  readonly file: string;
  readonly bytes: number;
  readonly entries: readonly string[];
}

/** A host's routes or a fleet's objects; more would not be read by anybody. */
const MAX_PART_BYTES = 16 * 1024 * 1024;
/** Each of them answers at once. */
const COMMAND_TIMEOUT_MS = 5_000;
/** What a host says of its network; one that is not there is said to be missing. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "host/uname.txt": ["uname", "-a"],
  "host/addresses.txt": ["ip", "-details", "address"],
  "host/routes.txt": ["ip", "route", "show", "table", "all"],
  "host/routes6.txt": ["ip", "-6", "route", "show", "table", "all"],
  "host/rules.txt": ["ip", "rule"],
  "host/sockets.txt": ["ss", "-uapn"],
};
/** Facts of the kernel that the engine's speed and the names depend on. */
const FILES: Readonly<Record<string, string>> = {
  "host/os-release.txt": "/etc/os-release",
  "host/resolv.conf": "/etc/resolv.conf",
  "host/meminfo.txt": "/proc/meminfo",
  "host/net-dev.txt": "/proc/net/dev",
  "host/net-snmp.txt": "/proc/net/snmp",
  "host/rmem_max.txt": "/proc/sys/net/core/rmem_max",
  "host/wmem_max.txt": "/proc/sys/net/core/wmem_max",
  "host/ip_forward.txt": "/proc/sys/net/ipv4/ip_forward",
  "host/rp_filter.txt": "/proc/sys/net/ipv4/conf/all/rp_filter",
  "host/rt_runtime.txt": "/proc/sys/kernel/sched_rt_runtime_us",
};

export function jsonPart(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export async function hostParts(): Promise<BundleParts> {
  const commands = Object.entries(COMMANDS).map(
    async ([name, [file = "", ...args]]) => [name, await outputOf(file, args)] as const,
  );
  const files = Object.entries(FILES).map(
    async ([name, path]) => [name, await readFile(path, "utf8").catch(unreadable)] as const,
  );
  return new Map(await Promise.all([...commands, ...files]));
}

async function outputOf(file: string, args: readonly string[]): Promise<string> {
  const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: MAX_PART_BYTES };
  return promisify(execFile)(file, [...args], options).then(({ stdout }) => stdout, unreadable);
}

function unreadable(error: NodeJS.ErrnoException): string {
  return `not available: ${error.code ?? "failed"}\n`;
}

/** Throws CliError BUNDLE_NOT_WRITTEN; a file that is there stays. */
export async function writeBundle(
  file: string,
  parts: BundleParts,
  nowSeconds: number,
): Promise<BundleReport> {
  const mtime = new Date(nowSeconds * 1000);
  const entries = [...parts].sort(([a], [b]) => (a < b ? -1 : 1));
  const archive = await packTar(
    entries.map(([name, text]) => {
      const body = Buffer.from(redact(cut(text)));
      return { header: { name: `fabric-bundle/${name}`, size: body.length, mode: 0o600, mtime }, body };
    }),
  );
  const packed = await promisify(gzip)(archive);
  try {
    await writeFile(file, packed, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "EEXIST" ? "it exists already" : (code ?? "failed");
    throw new CliError("BUNDLE_NOT_WRITTEN", `${file}: ${why}`, {
      exit: EXIT.failure,
      hint: "--file names another one",
      cause,
    });
  }
  return { file, bytes: packed.length, entries: entries.map(([name]) => name) };
}

function cut(text: string): string {
  return text.length <= MAX_PART_BYTES ? text : `${text.slice(0, MAX_PART_BYTES)}\n[cut]\n`;
}
