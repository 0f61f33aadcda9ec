/**
 * Builds a thing once for each content: the result is a directory whose name is the hash of all that went in.
 *
 * A build happens in a temporary directory and is renamed into place when it is whole, so a killed build leaves no
 * half result. The caller holds a lock: two builds never run at once in one cache.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { join, relative } from "node:path";

/** A work tree and its predecessor, or two work trees side by side; a control plane takes 100 MB. */
const KEPT_VERSIONS = 4;

/** Hash of the files' names and contents and of the words that describe the rest (compiler, flags). */
export function contentHash(root: string, files: readonly string[], words: readonly string[]): string {
  const hash = createHash("sha256");
  for (const word of words) hash.update(`${word}\0`);
  for (const file of files.toSorted()) {
    const content = readFileSync(file);
    hash.update(`${relative(root, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}

export interface CachedBuild {
  readonly directory: string;
  readonly built: boolean;
}

/** The directory `<cache>/<key>`, made by `build(directory)` when it is not there yet. */
export function buildOnce(cache: string, key: string, build: (directory: string) => void): CachedBuild {
  const directory = join(cache, key);
  if (existsSync(directory)) {
    const now = new Date();
    utimesSync(directory, now, now);
    return { directory, built: false };
  }
  const temporary = join(cache, `.building-${key}`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  build(temporary);
  renameSync(temporary, directory);
  removeOldVersions(cache);
  return { directory, built: true };
}

/** Removes all but the versions that were used last, and what interrupted builds left. */
function removeOldVersions(cache: string): void {
  const lastUse = (name: string): number => statSync(join(cache, name)).mtimeMs;
  const names = readdirSync(cache);
  const versions = names.filter((name) => !name.startsWith(".")).toSorted((a, b) => lastUse(b) - lastUse(a));
  const unfinished = names.filter((name) => name.startsWith(".building-"));
  for (const name of [...versions.slice(KEPT_VERSIONS), ...unfinished]) {
    rmSync(join(cache, name), { recursive: true, force: true });
  }
}
