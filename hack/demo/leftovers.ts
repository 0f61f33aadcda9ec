/** What a demo must not leave on the machine. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { runCommand, listNamespaces } from "../lab/namespaces.ts";

export interface Footprint {
  /** Of the machine's own network namespace. */
  readonly interfaces: string;
}

export async function footprint(): Promise<Footprint> {
  const { stdout } = await runCommand(["ip", "-o", "link", "show"]);
  return { interfaces: [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name).join(" ") };
}

/** What is there now that was not before, and what still speaks of the directories that should be gone. */
export async function leftovers(
  before: Footprint,
  namespacePrefix: string,
  directories: readonly string[],
): Promise<string[]> {
  const { interfaces } = await footprint();
  const namespaces = (await listNamespaces()).filter((name) => name.startsWith(namespacePrefix));
  return [
    ...(interfaces === before.interfaces ? [] : [`interfaces: ${interfaces}, before: ${before.interfaces}`]),
    ...namespaces.map((name) => `namespace ${name}`),
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
