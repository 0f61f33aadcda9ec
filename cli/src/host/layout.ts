/**
 * Where an installed node has its files. Everything lies below a root, which is `/` but for images and tests.
 *
 *   /opt/fabric/          programs, with the Node that runs them (a package's or a tarball's; not made here)
 *   /etc/fabric/          engine.json, agent.json: root's, so the agent cannot widen its own rights
 *   /var/lib/fabric/      agent/: key, membership, documents. engine/: the engine's own
 *   /run/fabric/          agent.sock                        /run/fabric-engine/  engine.sock
 */
import { join } from "node:path";

export const USER = "fabric";
export const ENGINE_UNIT = "fabric-engine.service";
export const AGENT_UNIT = "fabric-agent.service";
/** Only where the agent answers on port 53. */
export const NAMES_SOCKET_UNIT = "fabric-agent.socket";
export const PROGRAMS = "/opt/fabric";
/** Beside the programs: they came as a tarball, and nobody else takes them away. */
export const TARBALL_MARK = ".tarball";

export const PATHS = {
  config: "/etc/fabric",
  engineConfig: "/etc/fabric/engine.json",
  agentConfig: "/etc/fabric/agent.json",
  state: "/var/lib/fabric",
  agentState: "/var/lib/fabric/agent",
  engineState: "/var/lib/fabric/engine",
  joinToken: "/var/lib/fabric/agent/join-token",
  nodeKey: "/var/lib/fabric/agent/identity/node.key",
  agentRun: "/run/fabric",
  agentSocket: "/run/fabric/agent.sock",
  engineRun: "/run/fabric-engine",
  engineSocket: "/run/fabric-engine/engine.sock",
  units: "/etc/systemd/system",
  polkitRules: "/etc/polkit-1/rules.d",
  polkitRule: "/etc/polkit-1/rules.d/50-fabric.rules",
  commands: ["/usr/local/bin/fabric", "/usr/local/bin/kubectl-fabric"],
} as const;

export function unitPath(unit: string): string {
  return join(PATHS.units, unit);
}

/** Where people put their own lines of a unit. */
export function dropIns(unit: string): string {
  return join(PATHS.units, `${unit}.d`);
}
