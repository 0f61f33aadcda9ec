/**
 * The names of the overlay on this host: the zone of the snapshot in force, the server that answers for it, and the host's resolver
 * pointed to it.
 *
 *   snapshot ─► zone ─► server 127.0.0.74:53 ◄── systemd-resolved (that zone alone) or resolv.conf (everything; the rest is passed on)
 *
 * It stands on the snapshot alone, so names go on without the operator, and end with the snapshot. What was done to the host is undone
 * at the end; what a kill left behind, at the next start.
 */
import { formatEndpoint, parseEndpoint, type NodeSnapshotBody } from "@saf/protocol";
import type { AgentConfig } from "../config.ts";
import { AgentError, codeIn, messageOf } from "../errors.ts";
import type { NamesView } from "../local-api/views.ts";
import { createForwarder } from "./forwarder.ts";
import { adoptSockets, bindSockets, serveNames, type Forward, type NameServer } from "./name-server.ts";
import { ownDomain, pointResolvConf, restoreResolvConf, serversIn } from "./resolv-conf.ts";
import { isResolvedThere, pointLink, revertLink, type ResolvedLink } from "./resolved.ts";
import { createZone, hostsOf, type Zone } from "./zone.ts";

/** What a refused resolver was told then is told again: a person may have allowed it meanwhile. */
const RETRY_MS = 30_000;
const DNS_PORT = 53;

export interface NamesOptions {
  readonly config: AgentConfig["names"];
  /** File descriptors of sockets from the supervisor; empty: it opens its own. */
  readonly descriptors: readonly number[];
  readonly elapsedMs: () => number;
  readonly onError: (error: unknown) => void;
}

export interface NamesTarget {
  readonly body: NodeSnapshotBody;
  readonly epoch: number;
  /** The tunnel, once the engine has one, and which engine's it is. */
  readonly link: { readonly interface: string; readonly instanceId: string } | null;
}

export interface Names {
  readonly view: NamesView;
  /** Undoes what a killed agent left, and listens. */
  start(): Promise<void>;
  /** What the names are now; null: there are none. To be called again and again: the host changes, too. */
  refresh(target: NamesTarget | null): Promise<void>;
  /** Undoes everything. */
  stop(): Promise<void>;
}

export function createNames({ config, descriptors, elapsedMs, onError }: NamesOptions): Names {
  let server: NameServer | null = null;
  let zone: Zone | null = null;
  let zoneBody: NodeSnapshotBody | null = null;
  let forward: Forward | null = null;
  let original: string | null = null;
  let mode: NamesView["mode"] = null;
  let problem: NamesView["problem"] = null;
  /** Lasts as long as the server does. */
  let portProblem: NamesView["problem"] = null;
  /** What was asked of systemd-resolved last, and of which link it must be taken back. */
  let told = "";
  let pointedLink: string | null = null;
  let retryAtMs = 0;
  const listen = parseEndpoint(config.listen);

  const fail = (error: unknown): void => {
    const code = codeIn(error) ?? "INTERNAL";
    const message = messageOf(error);
    if (problem?.message !== message) onError(error);
    problem = { code, message };
  };

  async function start(): Promise<void> {
    await restoreLeftover();
    if (config.mode === "off") return;
    try {
      const sockets = descriptors.length > 0 ? await adoptSockets(descriptors) : await bound();
      server = serveNames({ sockets, knowledge: () => ({ zone, forward }), elapsedMs });
    } catch (error) {
      fail(error);
    }
  }

  /** A port that it may not have is no end: systemd-resolved asks any port, and so does who is told it. */
  async function bound(): ReturnType<typeof bindSockets> {
    try {
      return await bindSockets(listen.address, listen.port);
    } catch (error) {
      if (!["EACCES", "EADDRINUSE"].includes(codeIn(error) ?? "")) throw error;
      if (config.mode === "serve") {
        fail(new AgentError("NAMES_PORT", `${config.listen} is refused`));
        portProblem = problem;
      }
      return bindSockets(listen.address, 0);
    }
  }

  /** Whatever may be done from now on, the host's programs find what they found before. */
  async function restoreLeftover(): Promise<void> {
    await restoreResolvConf(config.resolvConf).catch((error: unknown) => {
      const missing = error instanceof Error && codeIn(error.cause) === "ENOENT";
      if (!missing) fail(error);
    });
  }

  async function refresh(target: NamesTarget | null): Promise<void> {
    if (!server) return;
    if (target?.body !== zoneBody) {
      zoneBody = target?.body ?? null;
      zone = target ? zoneOf(target) : null;
    }
    try {
      if (!zone) await unpoint();
      else if (config.mode === "resolv.conf") await pointFile(zone, server);
      else if (config.mode === "auto") await pointResolved(zone, server, target?.link ?? null);
    } catch (error) {
      fail(error);
    }
  }

  async function pointFile(to: Zone, { address, port }: NameServer): Promise<void> {
    if (port !== DNS_PORT)
      throw new AgentError(
        "NAMES_PORT",
        `resolv.conf can't name port ${port}, and port ${DNS_PORT} is refused`,
      );
    const wanted = { server: address, zone: to.origin, hostDomain: ownDomain() };
    const found = await pointResolvConf(config.resolvConf, wanted);
    if (found !== original) {
      original = found;
      forward = createForwarder({ servers: serversIn(found).filter((other) => other !== address) });
    }
    [mode, problem] = ["resolv.conf", null];
  }

  async function pointResolved(
    to: Zone,
    { address, port }: NameServer,
    link: NamesTarget["link"],
  ): Promise<void> {
    if (!isResolvedThere()) {
      const message = `no systemd-resolved, and no permission to write ${config.resolvConf} (names.mode)`;
      problem = { code: "NAMES_UNUSED", message };
      return;
    }
    if (!link) return;
    const wanted: ResolvedLink = {
      interface: link.interface,
      server: formatEndpoint({ address, port }),
      zone: to.origin,
      reverse: to.reverse,
    };
    const wish = JSON.stringify([link.instanceId, wanted]);
    if (wish === told && (mode !== null || elapsedMs() < retryAtMs)) return;
    [told, mode, retryAtMs] = [wish, null, elapsedMs() + RETRY_MS];
    pointedLink = link.interface;
    await pointLink(wanted);
    [mode, problem] = ["systemd-resolved", null];
  }

  async function unpoint(): Promise<void> {
    if (config.mode === "resolv.conf") await restoreResolvConf(config.resolvConf);
    // The link may be gone, and what was set on it with it.
    else if (pointedLink !== null) await revertLink(pointedLink).catch(() => undefined);
    [mode, told, pointedLink, forward, original, problem] = [null, "", null, null, null, null];
  }

  return {
    get view() {
      const at = server && formatEndpoint(server);
      return { zone: zone?.origin ?? null, mode, server: at, problem: problem ?? portProblem };
    },
    start,
    refresh,
    stop: async () => {
      await refresh(null);
      await server?.close();
      server = null;
    },
  };
}

function zoneOf({ body, epoch }: NamesTarget): Zone | null {
  if (body.zone === undefined) return null;
  const pools = [body.pools.ipv4, body.pools.ipv6];
  return createZone({ origin: body.zone, server: body.nodeName, serial: epoch, pools, hosts: hostsOf(body) });
}
