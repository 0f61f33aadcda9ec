/**
 * `fabric uninstall`: takes away everything that `fabric install` made and what ran since: units, sessions, tunnel, routes, names,
 * files, user. Each step looks first, so it may be said on a host where only half of it is there.
 */
import { originalIn, restoreResolvConf } from "@saf/agent";
import { findUser, removeUser } from "./accounts.ts";
import { hostSystem, ROOT, type Change, type HostSystem } from "./host-system.ts";
import { currentUid, requireRoot } from "./install.ts";
import {
  AGENT_UNIT,
  dropIns,
  ENGINE_UNIT,
  NAMES_SOCKET_UNIT,
  PATHS,
  TARBALL_MARK,
  unitPath,
} from "./layout.ts";
import { INTERFACE, RESOLV_CONF } from "./settings.ts";

export interface UninstallOptions {
  readonly programs: string;
  /** Key, membership and documents stay, and the user that they belong to: installed again, it is the same node. */
  readonly keepState: boolean;
  readonly dryRun: boolean;
  readonly root: string;
}

export interface Uninstalled {
  readonly dryRun: boolean;
  readonly changes: readonly Change[];
}

/** The agent first: it puts the host's names back; then the engine says goodbye to its peers and takes its tunnel along. */
const UNITS = [AGENT_UNIT, NAMES_SOCKET_UNIT, ENGINE_UNIT];

export async function uninstall(
  options: UninstallOptions,
  uid: () => number = currentUid,
): Promise<Uninstalled> {
  const { dryRun, root, keepState, programs } = options;
  requireRoot(uid, dryRun);
  const host = hostSystem(root, dryRun);
  const installed = await isInstalled(host);
  await stopUnits(host);
  if (installed) await giveBack(host);
  for (const unit of UNITS) {
    await host.remove(unitPath(unit));
    await host.remove(dropIns(unit));
  }
  await reload(host);
  await host.remove(PATHS.polkitRule);
  await host.remove(PATHS.config);
  for (const folder of [PATHS.agentRun, PATHS.engineRun]) await host.remove(folder);
  if (installed && !keepState) {
    await host.remove(PATHS.state);
    await removeUser(host);
  }
  for (const command of PATHS.commands) await removeLink(host, command, programs);
  if (await host.exists(`${programs}/${TARBALL_MARK}`)) await host.remove(programs);
  return { dryRun, changes: host.changes };
}

/** A node of Kubernetes has the same folder and the same interface, which are its agent's pod's. */
async function isInstalled(host: HostSystem): Promise<boolean> {
  if (await findUser(host)) return true;
  for (const path of [PATHS.config, ...UNITS.map(unitPath)]) if (await host.exists(path)) return true;
  return false;
}

const runsSystemd = async (host: HostSystem): Promise<boolean> =>
  host.root === "/" && host.exists("/run/systemd/system");

async function stopUnits(host: HostSystem): Promise<void> {
  const there: string[] = [];
  for (const unit of UNITS) if (await host.exists(unitPath(unit))) there.push(unit);
  if (there.length === 0 || !(await runsSystemd(host))) return;
  for (const unit of there)
    await host.change(`${unit}, running`, "removed", ["systemctl", "disable", "--quiet", "--now", unit]);
}

/** What a killed agent or engine may have left behind. */
async function giveBack(host: HostSystem): Promise<void> {
  const user = await findUser(host);
  const names = await host.read(RESOLV_CONF).catch(() => undefined);
  if (names !== undefined && originalIn(names) !== null)
    await host.act(RESOLV_CONF, "changed", () => restoreResolvConf(host.at(RESOLV_CONF)));
  if (names !== undefined && user && (await host.ownerOf(RESOLV_CONF)) === user.uid)
    await host.own(RESOLV_CONF, ROOT);
  const device = await deviceOf(host);
  if (host.root !== "/" || !(await host.ask(["ip", "link", "show", "dev", device]))) return;
  await host.change(`interface ${device}`, "removed", ["ip", "link", "delete", "dev", device]);
}

/** As the engine's configuration has it: its owner may have chosen another name. */
async function deviceOf(host: HostSystem): Promise<string> {
  const text = (await host.read(PATHS.engineConfig).catch(() => undefined)) ?? "{}";
  const name = /"interface"\s*:\s*"([A-Za-z0-9_.-]{1,15})"/.exec(text)?.[1];
  return name ?? INTERFACE;
}

async function reload(host: HostSystem): Promise<void> {
  if (await runsSystemd(host))
    await host.change("systemd's units", "changed", ["systemctl", "daemon-reload"]);
}

async function removeLink(host: HostSystem, path: string, programs: string): Promise<void> {
  if ((await host.linkTo(path)) === `${programs}/bin/fabric`) await host.remove(path);
}

export function renderUninstalled({ dryRun, changes }: Uninstalled): string {
  const lines = changes.map(({ what, change }) => `${change.padEnd(8)} ${what}`);
  if (dryRun) return [...lines, "nothing was done: this is what would be"].join("\n");
  return lines.length === 0 ? "there was nothing of the fabric on this host" : lines.join("\n");
}
