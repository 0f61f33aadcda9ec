/**
 * systemd-resolved, by its own command: the tunnel's link gets our server for our zones and for nothing else. What is set on a link
 * goes with the link.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";

const RUNTIME_FOLDER = "/run/systemd/resolve";
/** It answers at once, or asks a person for a password that nobody will type. */
const COMMAND_TIMEOUT_MS = 5_000;
const run = promisify(execFile);

export interface ResolvedLink {
  readonly interface: string;
  /** `ip:port` */
  readonly server: string;
  readonly zone: string;
  readonly reverse: readonly string[];
}

export function isResolvedThere(): boolean {
  return existsSync(RUNTIME_FOLDER);
}

/** What resolvectl is asked, in order. The zone is searched, too: a node is reached by its name alone. */
export function linkCommands({ interface: link, server, zone, reverse }: ResolvedLink): string[][] {
  return [
    ["dns", link, server],
    ["domain", link, zone, ...reverse.map((name) => `~${name}`)],
    ["default-route", link, "false"],
    // Our answers are neither signed nor encrypted, whatever the host asks of others: they never leave it.
    ["dnssec", link, "no"],
    ["dnsovertls", link, "no"],
  ];
}

/** Throws AgentError RESOLVED_REFUSES. */
export async function pointLink(link: ResolvedLink): Promise<void> {
  for (const command of linkCommands(link)) await resolvectl(command);
}

export async function revertLink(link: string): Promise<void> {
  await resolvectl(["revert", link]);
}

async function resolvectl(args: readonly string[]): Promise<void> {
  try {
    await run("resolvectl", args, { timeout: COMMAND_TIMEOUT_MS });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    const said = stderr?.trim() || String(cause);
    throw new AgentError("RESOLVED_REFUSES", `resolvectl ${args[0]}: ${said.slice(0, 200)}`, { cause });
  }
}
