/**
 * Removes what labs left behind whose process is gone: processes, namespaces, control groups, directories. Called when a lab starts
 * and, as a program, by the reaper of a lab that was killed.
 */
import { listCgroups, removeCgroup } from "./cluster/cgroups.ts";
import { listNamespaces, removeNamespace } from "./namespaces.ts";
import { orphanId, sweepScratchDirectories } from "./scratch-directory.ts";

/** Returns what was removed. Two sweeps at once do no harm: what one has removed the other does not miss. */
export async function sweep(parent?: string): Promise<string[]> {
  const orphans = (await listNamespaces()).filter((name) => orphanId(name) !== undefined);
  await Promise.all(orphans.map(removeUnlessGone));
  const cgroups = listCgroups((name) => orphanId(name) !== undefined);
  await Promise.all(cgroups.map(removeCgroup));
  return [...orphans, ...cgroups, ...sweepScratchDirectories(parent)];
}

async function removeUnlessGone(namespace: string): Promise<void> {
  try {
    await removeNamespace(namespace);
  } catch (error) {
    if ((await listNamespaces()).includes(namespace)) throw error;
  }
}

if (import.meta.main) await sweep(process.argv[2]);
