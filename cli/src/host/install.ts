/**
 * `fabric install`: makes this host a node that systemd keeps running. Said again it changes only what is not as it should be; a
 * configuration that is there is its owner's and stays.
 */
import { hostname } from "node:os";
import { NODE_NAME_PATTERN, nodeNameOf } from "@saf/protocol";
import { CliError, EXIT, usageError } from "../errors.ts";
import { checkToken } from "../node/join.ts";
import { ensureUser } from "./accounts.ts";
import { hostSystem, ROOT, type Change, type HostSystem, type Owner } from "./host-system.ts";
import { AGENT_UNIT, ENGINE_UNIT, NAMES_SOCKET_UNIT, PATHS, TARBALL_MARK, unitPath, USER } from "./layout.ts";
import {
  agentSettings,
  asFile,
  engineSettings,
  NAMES_LISTEN,
  RESOLV_CONF,
  type NodeSettings,
} from "./settings.ts";
import { agentUnit, engineUnit, namesSocketUnit, polkitRule } from "./units.ts";

export interface InstallOptions extends Omit<NodeSettings, "nodeName"> {
  readonly nodeName: string | undefined;
  /** The raw join token; undefined: none. */
  readonly token: string | undefined;
  /** Folder of the programs. */
  readonly programs: string;
  readonly reconfigure: boolean;
  readonly start: boolean;
  readonly dryRun: boolean;
  readonly root: string;
}

export interface Installed {
  readonly nodeName: string;
  readonly dryRun: boolean;
  readonly changes: readonly Change[];
  readonly started: boolean;
}

/** Who may; tests pass another. */
type Uid = () => number;

export async function install(options: InstallOptions, uid: Uid = currentUid): Promise<Installed> {
  const { dryRun, root } = options;
  requireRoot(uid, dryRun);
  requireToken(options);
  const host = hostSystem(root, dryRun);
  const nodeName = options.nodeName ?? ownName();
  if (!NODE_NAME_PATTERN.test(nodeName))
    throw usageError(`"${nodeName}" is no node name`, "--node-name takes at most 63 of a-z, 0-9 and '-'");
  await requirePrograms(host, options.programs);
  const starts = options.start && (await requireSystemd(host));

  const owner = await ensureUser(host);
  const changed = await writeFiles(host, { ...options, nodeName }, owner ?? ROOT);
  if (starts) await startUnits(host, options, changed);
  return { nodeName, dryRun, changes: host.changes, started: starts && !dryRun };
}

export function currentUid(): number {
  return process.getuid?.() ?? -1;
}

export function requireRoot(uid: Uid, dryRun: boolean): void {
  if (uid() === 0 || dryRun) return;
  throw new CliError("NOT_ROOT", "only root can change what the host runs", {
    exit: EXIT.denied,
    hint: "sudo, or --dry-run to see what would be done",
  });
}

function requireToken({ token, server }: InstallOptions): void {
  if (token === undefined) return;
  if (server === undefined) throw usageError("a token needs the --server that it is for");
  checkToken(token);
}

/** A host's name may be long, or in capitals. */
function ownName(): string {
  const name = hostname().toLowerCase();
  try {
    return nodeNameOf(name);
  } catch (cause) {
    throw new CliError("USAGE", `this host's name, ${name}, makes no node name`, {
      exit: EXIT.usage,
      hint: "say one with --node-name",
      cause,
    });
  }
}

/** The engine's program runs as root: whoever could change it would be root too. */
async function requirePrograms(host: HostSystem, programs: string): Promise<void> {
  if (!/^[\w./+@-]+$/.test(programs))
    throw usageError(
      `"${programs}" cannot stand in a unit`,
      "--programs takes a path without spaces or signs",
    );
  for (const program of ["fabric-engine", "fabric-agent"])
    if (!(await host.exists(`${programs}/bin/${program}`)))
      throw new CliError("PROGRAM_MISSING", `there is no ${programs}/bin/${program}`, {
        exit: EXIT.failure,
        hint: "unpack the release there, or say where it is with --programs",
      });
  for (const path of [programs, `${programs}/bin`, `${programs}/bin/fabric-engine`])
    if ((await host.ownerOf(path)) !== ROOT.uid)
      throw new CliError("PROGRAM_UNSAFE", `${path} is not root's, and the engine would run as root`, {
        exit: EXIT.failure,
        hint: "unpack the release as root",
      });
}

async function requireSystemd(host: HostSystem): Promise<true> {
  if (host.dryRun) return true;
  if (host.root !== "/" || !(await host.exists("/run/systemd/system")))
    throw new CliError("NO_SYSTEMD", "systemd does not run here, so nothing would start the node", {
      exit: EXIT.failure,
      hint: "--no-start writes the files alone; run them by another supervisor, or in a container",
    });
  if (!(await host.exists("/dev/net/tun")))
    throw new CliError(
      "NO_TUN",
      "there is no /dev/net/tun: this kernel has no tunnels, or this container none of them",
      {
        exit: EXIT.failure,
        hint: "modprobe tun",
      },
    );
  return true;
}

/** Whoever asks knows no other port than 53. systemd-resolved does. */
function needsPort(names: NodeSettings["names"]): boolean {
  return names === "resolv.conf" || names === "serve";
}

interface Changed {
  readonly engine: boolean;
  readonly agent: boolean;
}

async function writeFiles(
  host: HostSystem,
  options: InstallOptions & { nodeName: string },
  owner: Owner,
): Promise<Changed> {
  const { programs, names, reconfigure } = options;
  const roots = { owner: ROOT, mode: 0o644 };
  const keep = !reconfigure;
  await host.directory(PATHS.config, { owner: ROOT, mode: 0o755 });
  await host.directory(PATHS.state, { owner: ROOT, mode: 0o755 });
  await host.directory(PATHS.agentState, { owner, mode: 0o750 });
  await host.directory(PATHS.engineState, { owner: { uid: 0, gid: owner.gid }, mode: 0o700 });
  if (options.token !== undefined)
    await host.file(PATHS.joinToken, `${options.token}\n`, { owner, mode: 0o600 });

  const resolvConf = names === "resolv.conf" ? RESOLV_CONF : undefined;
  const takesPort = needsPort(names);
  if (resolvConf !== undefined) await host.own(resolvConf, owner);
  const engine = [
    await host.file(PATHS.engineConfig, asFile(engineSettings(options, owner.uid)), { ...roots, keep }),
    await host.file(unitPath(ENGINE_UNIT), engineUnit(programs), roots),
  ];
  const agent = [
    await host.file(PATHS.agentConfig, asFile(agentSettings(options)), { ...roots, keep }),
    await host.file(unitPath(AGENT_UNIT), agentUnit(programs, { takesPort, resolvConf }), roots),
  ];
  if (!takesPort) await host.remove(unitPath(NAMES_SOCKET_UNIT));
  else agent.push(await host.file(unitPath(NAMES_SOCKET_UNIT), namesSocketUnit(NAMES_LISTEN), roots));
  if (await host.exists(PATHS.polkitRules)) await host.file(PATHS.polkitRule, polkitRule(), roots);
  if (await host.exists(`${programs}/${TARBALL_MARK}`))
    for (const command of PATHS.commands) await host.link(command, `${programs}/bin/fabric`);
  return { engine: engine.includes(true), agent: agent.includes(true) };
}

/** What runs as it should is left alone: an engine that starts anew drops its sessions. */
async function startUnits(host: HostSystem, { names }: InstallOptions, changed: Changed): Promise<void> {
  const units = [ENGINE_UNIT, ...(needsPort(names) ? [NAMES_SOCKET_UNIT] : []), AGENT_UNIT];
  await host.change("systemd's units", "changed", ["systemctl", "daemon-reload"]);
  await host.change(units.join(" "), "changed", ["systemctl", "enable", "--quiet", ...units]);
  for (const unit of units) {
    const isNew = unit === ENGINE_UNIT ? changed.engine : changed.agent;
    const runs = (await host.ask(["systemctl", "is-active", unit]))?.trim() === "active";
    if (runs && !isNew) continue;
    await host.change(`${unit}, running`, runs ? "changed" : "made", ["systemctl", "restart", unit]);
  }
}

export function renderInstalled({ nodeName, dryRun, changes, started }: Installed): string {
  const done = changes.filter(({ change }) => change !== "kept");
  const lines = done.map(({ what, change }) => `${change.padEnd(8)} ${what}`);
  const kept = changes.length - done.length;
  if (kept > 0) lines.push(`kept     ${kept} that are as they should be, or their owner's`);
  if (dryRun)
    return [...lines, `nothing was done: this is what would be, for the node ${nodeName}`].join("\n");
  const next = started
    ? `${nodeName} runs as user ${USER}; fabric status tells how it goes on`
    : "nothing was started";
  return [...lines, next].join("\n");
}
