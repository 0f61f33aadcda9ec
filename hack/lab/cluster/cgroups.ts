/** The control groups of a lab's machines, which bear the names of their network namespaces. */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

const ROOT = "/sys/fs/cgroup";
/** A killed process leaves its group within milliseconds. */
const END_TIMEOUT_MS = 5_000;
const END_INTERVAL_MS = 10;

/** Paths of the groups with such names: in each hierarchy of version 1, or in the one of version 2. */
export function listCgroups(isWanted: (name: string) => boolean): string[] {
  return [ROOT, ...foldersIn(ROOT)].flatMap((hierarchy) =>
    foldersIn(hierarchy).filter((path) => isWanted(path.slice(hierarchy.length + 1))),
  );
}

/** Removes the group and all below it. Its processes have been killed. */
export async function removeCgroup(path: string): Promise<void> {
  const deadlineMs = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    try {
      return removeNow(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return; // somebody else's sweep
      if (code !== "EBUSY" || performance.now() > deadlineMs) throw error;
    }
    await setTimeout(END_INTERVAL_MS);
  }
}

function removeNow(path: string): void {
  foldersIn(path).forEach(removeNow);
  rmdirSync(path);
}

function foldersIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}
