/** What a demo must not leave on the machine. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { runCommand, listNamespaces } from "../lab/namespaces.ts";

export interface Footprint {
  readonly interfaces: string;
  readonly namespaces: readonly string[];
}

export async function footprint(): Promise<Footprint> {
  const { stdout } = await runCommand(["ip", "-o", "link", "show"]);
  const interfaces = [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name).join(" ");
  return { interfaces, namespaces: await listNamespaces() };
}

/** What is there now that was not before, and what still speaks of the directories that should be gone. */
export async function leftovers(before: Footprint, directories: readonly string[]): Promise<string[]> {
  const after = await footprint();
  return [
    ...(after.interfaces === before.interfaces
      ? []
      : [`interfaces: ${after.interfaces}, before: ${before.interfaces}`]),
    ...after.namespaces
      .filter((name) => !before.namespaces.includes(name))
      .map((name) => `namespace ${name}`),
    ...directories.filter((path) => existsSync(path)).map((path) => `directory ${path}`),
    ...processesNaming(directories).map((text) => `process ${text}`),
  ];
}

function processesNaming(directories: readonly string[]): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return directories.some((path) => command.includes(path)) ? [`${pid}: ${command}`] : [];
    } catch {
      return []; // it ended while we looked
    }
  });
}
