/** What installing does to a host: files below a root, and the few programs of the host that it calls. Every change is told, or only told. */
import { execFile } from "node:child_process";
import { constants, type Stats } from "node:fs";
import fs from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { CliError, EXIT } from "../errors.ts";

const run = promisify(execFile);
/** systemctl waits for units to start and stop; ours take seconds. */
const COMMAND_TIMEOUT_MS = 60_000;

export interface Change {
  readonly what: string;
  readonly change: "made" | "changed" | "kept" | "removed";
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Owner = { uid: 0, gid: 0 };

export interface HostSystem {
  readonly root: string;
  /** Nothing is done, all is told. */
  readonly dryRun: boolean;
  readonly changes: readonly Change[];
  at(path: string): string;
  exists(path: string): Promise<boolean>;
  read(path: string): Promise<string | undefined>;
  /** The file has this text, owner and mode. With `keep`, one that is there stays as it is. Returns whether anything changed. */
  file(path: string, text: string, options: { owner: Owner; mode: number; keep?: boolean }): Promise<boolean>;
  directory(path: string, options: { owner: Owner; mode: number }): Promise<void>;
  link(path: string, target: string): Promise<void>;
  own(path: string, owner: Owner): Promise<void>;
  /** The uid that a file belongs to, links followed; undefined when there is none. */
  ownerOf(path: string): Promise<number | undefined>;
  /** Where a link leads; undefined when it is none. */
  linkTo(path: string): Promise<string | undefined>;
  /** Something that only this process can do. */
  act(what: string, change: Change["change"], work: () => Promise<void>): Promise<void>;
  /** A file, a link or a whole folder. */
  remove(path: string): Promise<void>;
  /** A program of the host that changes it. Throws COMMAND_FAILED. */
  change(what: string, change: Change["change"], command: readonly string[]): Promise<void>;
  /** One that only looks; its standard output, or undefined when it fails. */
  ask(command: readonly string[]): Promise<string | undefined>;
}

export function hostSystem(root: string, dryRun: boolean): HostSystem {
  const changes: Change[] = [];
  const at = (path: string): string => (root === "/" ? path : join(root, path));
  const told = (what: string, change: Change["change"]): void => void changes.push({ what, change });

  /** A link in the folders of an image may be absolute: it would lead to this host's own files. Throws OUTSIDE_ROOT. */
  const requireInside = async (path: string): Promise<void> => {
    if (root === "/") return;
    const [base, place] = [await realPath(root), await realPath(path)];
    if (place === base || place.startsWith(`${base}/`)) return;
    throw new CliError("OUTSIDE_ROOT", `${path} leads out of ${root}, to ${place}`, {
      exit: EXIT.failure,
      hint: "replace the link by a relative one, or do without what needs it",
    });
  };

  const lstat = async (path: string) => {
    await requireInside(dirname(at(path)));
    try {
      return await fs.lstat(at(path));
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
      throw error;
    }
  };

  return {
    root,
    dryRun,
    changes,
    at,
    exists: async (path) => (await lstat(path)) !== undefined,
    async read(path) {
      await requireInside(at(path));
      try {
        return await fs.readFile(at(path), "utf8");
      } catch (error) {
        if (codeOf(error) === "ENOENT") return undefined;
        throw error;
      }
    },
    async file(path, text, { owner, mode, keep = false }) {
      const before = await lstat(path);
      const same =
        before?.isFile() === true &&
        isAs(before, owner, mode) &&
        (keep || (await fs.readFile(at(path), "utf8")) === text);
      if (same || (before && keep)) {
        told(path, "kept");
        return false;
      }
      told(path, before ? "changed" : "made");
      if (!dryRun) await writeWhole(at(path), text, owner, mode);
      return true;
    },
    async directory(path, { owner, mode }) {
      const before = await lstat(path);
      const same = before?.isDirectory() === true && isAs(before, owner, mode);
      told(path, same ? "kept" : before ? "changed" : "made");
      if (same || dryRun) return;
      await fs.mkdir(at(path), { recursive: true });
      await fs.chown(at(path), owner.uid, owner.gid);
      await fs.chmod(at(path), mode);
    },
    async link(path, target) {
      const before = await lstat(path);
      if (before && !before.isSymbolicLink()) return told(path, "kept");
      if (before && (await fs.readlink(at(path))) === target) return told(path, "kept");
      told(path, before ? "changed" : "made");
      if (dryRun) return undefined;
      await fs.mkdir(dirname(at(path)), { recursive: true });
      await fs.rm(at(path), { force: true });
      return fs.symlink(target, at(path));
    },
    async ownerOf(path) {
      await requireInside(at(path));
      return (await fs.stat(at(path)).catch(() => undefined))?.uid;
    },
    linkTo: (path) => fs.readlink(at(path)).catch(() => undefined),
    async act(what, change, work) {
      told(what, change);
      if (!dryRun) await work();
    },
    async own(path, owner) {
      await requireInside(at(path));
      const before = await fs.stat(at(path)).catch(() => undefined);
      if (!before || (before.uid === owner.uid && before.gid === owner.gid)) return;
      told(`owner of ${path}`, "changed");
      if (!dryRun) await fs.chown(at(path), owner.uid, owner.gid);
    },
    async remove(path) {
      if (!(await lstat(path))) return;
      told(path, "removed");
      if (!dryRun) await fs.rm(at(path), { recursive: true, force: true });
    },
    async change(what, change, [program = "", ...args]) {
      told(what, change);
      if (dryRun) return;
      try {
        await run(program, args, { timeout: COMMAND_TIMEOUT_MS });
      } catch (error) {
        throw commandFailed([program, ...args], error);
      }
    },
    async ask([program = "", ...args]) {
      try {
        return (await run(program, args, { timeout: COMMAND_TIMEOUT_MS })).stdout;
      } catch {
        return undefined; // not there, or its answer is no
      }
    },
  };
}

function isAs({ uid, gid, mode: found }: Stats, owner: Owner, mode: number): boolean {
  return uid === owner.uid && gid === owner.gid && (found & 0o7777) === mode;
}

/** Links followed; of what is not there, where it would be. */
async function realPath(path: string): Promise<string> {
  try {
    return await fs.realpath(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    const link = await fs.readlink(path).catch(() => undefined);
    if (link !== undefined) return realPath(resolve(dirname(path), link));
    return join(await realPath(dirname(path)), basename(path));
  }
}

/** In one step, and never through a link that somebody else laid in the folder. */
async function writeWhole(path: string, text: string, owner: Owner, mode: number): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  await fs.rm(temporary, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await fs.open(temporary, flags, 0o600);
  try {
    await file.writeFile(text);
    await file.chown(owner.uid, owner.gid);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, path);
}

function commandFailed(command: readonly string[], error: unknown): CliError {
  const { stderr = "", code } = error as { stderr?: string; code?: unknown };
  const said =
    stderr.trim().split("\n").at(-1) || (code === "ENOENT" ? "there is no such program" : String(code));
  return new CliError("COMMAND_FAILED", `${command.join(" ")}: ${said}`, {
    exit: EXIT.failure,
    cause: error,
    hint: "mend that and say the same again: what is done already stays",
  });
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
