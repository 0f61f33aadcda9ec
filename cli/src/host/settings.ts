/** The two configuration files of an installed node. */
import { PATHS } from "./layout.ts";

export type NamesMode = "auto" | "resolv.conf" | "serve" | "off";

export const NAMES_LISTEN = "127.0.0.74:53";
export const RESOLV_CONF = "/etc/resolv.conf";
export const INTERFACE = "fabric0";

export interface NodeSettings {
  readonly nodeName: string;
  readonly listenPort: number;
  readonly names: NamesMode;
  /** Where to ask to join; undefined: `fabric join` says it. */
  readonly server: string | undefined;
  readonly roles: readonly string[];
  readonly advertise: readonly string[];
}

export function agentSettings({
  nodeName,
  listenPort,
  names,
  server,
  roles,
  advertise,
}: NodeSettings): object {
  const join = { server, tokenFile: PATHS.joinToken, requestedRoles: roles };
  return {
    nodeName,
    stateDir: PATHS.agentState,
    engineSocket: PATHS.engineSocket,
    apiSocket: PATHS.agentSocket,
    listenPort,
    ...(advertise.length > 0 ? { advertise } : {}),
    ...(server === undefined ? {} : { join }),
    names: { mode: names },
  };
}

/** @param uid Of the agent's user: nobody else may command the engine. */
export function engineSettings({ listenPort }: Pick<NodeSettings, "listenPort">, uid: number): object {
  return {
    socket: PATHS.engineSocket,
    allowedUids: [uid],
    keyFile: PATHS.nodeKey,
    stateDir: PATHS.engineState,
    listen: [`0.0.0.0:${listenPort}`, `[::]:${listenPort}`],
    tunnel: { interface: INTERFACE, prefixes: ["100.64.0.0/10", "fd00::/8"], maxMtu: 9000 },
  };
}

export function asFile(settings: object): string {
  return `${JSON.stringify(settings, null, 2)}\n`;
}
