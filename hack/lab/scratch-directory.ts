/**
 * Directories that live as long as one process. The owner's process id is part of the name, so that what a killed
 * process left behind can be told from what a living one uses, by anybody, without reading anything.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** `saf-<id>`; also the prefix of a lab's network namespaces. The id is short because socket paths end at 108 bytes. */
const NAME = /^saf-(([0-9]+)x[0-9a-f]{4})(?:-|$)/;

export interface ScratchDirectory {
  /** `<pid>x<4 hex digits>`. */
  readonly id: string;
  readonly path: string;
  remove(): void;
}

export function newScratchId(): string {
  return `${process.pid}x${randomBytes(2).toString("hex")}`;
}

/** Makes `saf-<id>` below `parent`, readable by all: processes of other users have their own folders in it. */
export function createScratchDirectory(
  parent: string = tmpdir(),
  id: string = newScratchId(),
): ScratchDirectory {
  const path = join(parent, `saf-${id}`);
  mkdirSync(path);
  chmodSync(path, 0o755);
  return { id, path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The id in a name whose owner has ended; undefined for names of living owners and for all other names. */
export function orphanId(name: string): string | undefined {
  const [, id, pid] = NAME.exec(name) ?? [];
  return id !== undefined && !isAlive(Number(pid)) ? id : undefined;
}

/** Removes the scratch directories below `parent` whose owners have ended, and returns their paths. */
export function sweepScratchDirectories(parent: string = tmpdir()): string[] {
  const orphans = readdirSync(parent)
    .filter((name) => orphanId(name) !== undefined)
    .map((name) => join(parent, name));
  for (const path of orphans) rmSync(path, { recursive: true, force: true });
  return orphans;
}

/** A process that has ended and whose parent has not asked how (a zombie) owns nothing any more. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true; // not ours to see
  }
}
