/**
 * `fabric netcheck`: what the networks around this node let through. Everything is read off what the engine does already and what the
 * operator saw; nothing outside of the fabric is asked, and no packet is sent for it but two name look-ups.
 */
import { isIPv6 } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";
import { OPERATOR_PEER, type DiagnosticsView, type PathView, type PeerView } from "@saf/agent";
import { formatMicros } from "../format/quantity.ts";
import { type Cell, formatFields, formatTable } from "../format/table.ts";
import { fail, ok, renderFindings, warn, type Finding } from "./findings.ts";
import type { Answer } from "./resolve.ts";

export type Family = "ipv4" | "ipv6";
/** What stands between this host and the operator, as far as one observer can tell. */
export type Nat = "none" | "port kept" | "port changed" | "unknown";

export interface FamilyReport {
  /** Addresses of this host that reach beyond it. */
  readonly addresses: readonly string[];
  /** Paths that carry packets now. */
  readonly paths: number;
}

export interface PeerReport {
  readonly name: string;
  readonly session: PeerView["session"];
  readonly via: string | null;
  readonly family: Family | null;
  readonly rttMicros: number | null;
  readonly jitterMicros: number | null;
  readonly lostPermille: number | null;
  /** UDP payload that the path carries. */
  readonly mtu: number | null;
  /** Open paths, the one in use among them. */
  readonly paths: number;
  readonly failure: string | null;
}

export interface NetcheckReport {
  readonly listen: readonly string[];
  readonly families: Readonly<Record<Family, FamilyReport>>;
  readonly mapped: { readonly endpoint: string | null; readonly nat: Nat };
  readonly operator: {
    readonly connected: boolean;
    readonly via: string | null;
    readonly rttMicros: number | null;
  };
  readonly peers: readonly PeerReport[];
  readonly interfaces: readonly {
    readonly name: string;
    readonly mtu: number | null;
    readonly addresses: readonly string[];
  }[];
  readonly names: {
    readonly zone: string | null;
    readonly server: string | null;
    readonly mode: string | null;
    readonly answers: boolean;
    readonly hostResolves: boolean;
    readonly problem: string | null;
  };
  readonly findings: readonly Finding[];
}

export interface NetcheckProbes {
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>;
  /** Null: not known. */
  readonly mtuOf: (interfaceName: string) => number | null;
  readonly askServer: (server: string, name: string) => Promise<Answer>;
  readonly askHost: (name: string) => Promise<Answer>;
}

/** Of UDP: what QUIC needs at the very least (RFC 9000 §14). */
const LEAST_MTU = 1200;

export async function netcheck(view: DiagnosticsView, probes: NetcheckProbes): Promise<NetcheckReport> {
  const tunnel = view.engine?.tunnel?.interface;
  const interfaces = Object.entries(probes.interfaces())
    .filter(([name, list]) => name !== tunnel && list?.some(({ internal }) => !internal))
    .map(([name, list]) => ({
      name,
      mtu: probes.mtuOf(name),
      addresses: list?.map(({ address }) => address) ?? [],
    }));
  const local = interfaces.flatMap(({ addresses }) => addresses);
  const paths = [...view.peers.peers.flatMap((peer) => peer.paths), ...operatorPaths(view)].filter(carries);
  const family = (of: Family): FamilyReport => ({
    addresses: local.filter((address) => familyOf(address) === of && !isLinkLocal(address)),
    paths: paths.filter(({ remote }) => familyOf(hostOf(remote)) === of).length,
  });
  const [active] = operatorPaths(view).filter(({ status }) => status === "active");
  const endpoint = view.status.operator.observed;
  const report = {
    listen: view.engine?.listen ?? [],
    families: { ipv4: family("ipv4"), ipv6: family("ipv6") },
    mapped: { endpoint, nat: natOf(endpoint, local, view.engine?.listen ?? []) },
    operator: {
      connected: view.status.operator.connected,
      via: active?.remote ?? null,
      rttMicros: active?.rttMicros ?? null,
    },
    peers: view.peers.peers.map(peerReport),
    interfaces,
    names: await namesReport(view, probes),
  };
  return { ...report, findings: findingsOf(view, report) };
}

type Facts = Omit<NetcheckReport, "findings">;

function operatorPaths({
  engine,
}: DiagnosticsView): readonly Pick<PathView, "remote" | "status" | "rttMicros">[] {
  return engine?.peers.find(({ id }) => id === OPERATOR_PEER)?.paths ?? [];
}

function carries({ status }: Pick<PathView, "status">): boolean {
  return status === "active" || status === "backup";
}

function peerReport({ name, session, paths, lastFailure }: PeerView): PeerReport {
  const used = paths.find(({ status }) => status === "active");
  return {
    name,
    session,
    via: used?.remote ?? null,
    family: used ? familyOf(hostOf(used.remote)) : null,
    rttMicros: used?.rttMicros ?? null,
    jitterMicros: used?.jitterMicros ?? null,
    lostPermille: used?.lostPermille ?? null,
    mtu: used?.mtu ?? null,
    paths: paths.filter(carries).length,
    failure: session === "ready" ? null : (lastFailure?.code ?? null),
  };
}

/** One observer tells whether there is a translation, not whether it is another one for each destination. */
export function natOf(observed: string | null, local: readonly string[], listen: readonly string[]): Nat {
  if (observed === null) return "unknown";
  if (local.includes(hostOf(observed))) return "none";
  return listen.some((endpoint) => portOf(endpoint) === portOf(observed)) ? "port kept" : "port changed";
}

async function namesReport(
  { status }: DiagnosticsView,
  probes: NetcheckProbes,
): Promise<NetcheckReport["names"]> {
  const { zone, server, mode, problem } = status.names;
  const own = zone === null ? null : `${status.nodeName}.${zone}`;
  const asked = own === null || server === null ? null : await probes.askServer(server, own);
  const host = own === null ? null : await probes.askHost(own);
  return {
    zone,
    server,
    mode,
    answers: (asked?.addresses.length ?? 0) > 0,
    hostResolves: (host?.addresses.length ?? 0) > 0,
    problem: problem?.message ?? asked?.problem ?? null,
  };
}

function findingsOf({ status, config }: DiagnosticsView, facts: Facts): readonly Finding[] {
  const { families, mapped, names, operator, peers } = facts;
  const reached = peers.filter(({ session }) => session === "ready");
  const smallest = Math.min(...reached.flatMap(({ mtu }) => mtu ?? []));
  return [
    ...(["ipv4", "ipv6"] as const).map((of) => familyFinding(of, families[of])),
    listenFinding(facts.listen, (config as { listenPort?: unknown }).listenPort),
    mapped.endpoint === null
      ? warn("mapped address", "the operator has not said where it sees this node")
      : ok("mapped address", `${mapped.endpoint}, NAT: ${mapped.nat}`),
    operator.connected
      ? ok("operator", `by ${operator.via ?? "?"}`)
      : fail("operator", status.reasonCode ?? "no control session"),
    reached.length === peers.length
      ? ok("peers", `${reached.length} of ${peers.length} reached`)
      : fail("peers", `${reached.length} of ${peers.length} reached`),
    ...(Number.isFinite(smallest)
      ? [
          smallest >= LEAST_MTU
            ? ok("MTU", `paths carry ${smallest} bytes or more`)
            : fail("MTU", `a path carries only ${smallest}`),
        ]
      : []),
    namesFinding(names),
  ];
}

function familyFinding(of: Family, { addresses, paths }: FamilyReport): Finding {
  const what = of === "ipv4" ? "UDP over IPv4" : "UDP over IPv6";
  if (paths > 0) return ok(what, `works: ${paths} paths`);
  return addresses.length === 0 ? warn(what, "this host has no address") : warn(what, "no path uses it");
}

function listenFinding(listen: readonly string[], told: unknown): Finding {
  if (listen.length === 0) return fail("UDP port", "the engine listens nowhere");
  if (typeof told === "number" && !listen.some((endpoint) => portOf(endpoint) === told))
    return fail("UDP port", `peers are told ${told}, and the engine listens at ${listen.join(", ")}`);
  return ok("UDP port", listen.join(", "));
}

function namesFinding({
  zone,
  server,
  mode,
  answers,
  hostResolves,
  problem,
}: NetcheckReport["names"]): Finding {
  if (zone === null) return warn("names", problem ?? "no zone");
  if (!answers) return fail("names", `${server ?? "no server"}: ${problem ?? "no answer"}`);
  if (!hostResolves)
    return warn("names", `${zone} only from ${server}: ${problem ?? "this host asks elsewhere"}`);
  return ok("names", `${zone} by ${mode ?? "this host's own configuration"}`);
}

export function renderNetcheck({ mapped, operator, peers, interfaces, findings }: NetcheckReport): string {
  const micros = (value: number | null): Cell => (value === null ? null : formatMicros(value));
  const facts = formatFields([
    ["Mapped address", mapped.endpoint],
    ["NAT", mapped.nat],
    ["Operator", operator.via === null ? null : `${operator.via}, ${micros(operator.rttMicros) ?? "?"}`],
    ...interfaces.map(
      ({ name, mtu, addresses }) =>
        [`Interface ${name}`, `MTU ${mtu ?? "?"}, ${addresses.join(" ")}`] as const,
    ),
  ]);
  const table = formatTable(
    ["PEER", "SESSION", "VIA", "RTT", "JITTER", "LOSS", "MTU", "PATHS", "FAILURE"],
    peers.map((peer) => [
      peer.name,
      peer.session,
      peer.via,
      micros(peer.rttMicros),
      micros(peer.jitterMicros),
      peer.lostPermille === null ? null : `${(peer.lostPermille / 10).toFixed(1)} %`,
      peer.mtu,
      peer.paths,
      peer.failure,
    ]),
  );
  return [facts, ...(peers.length === 0 ? [] : [table]), renderFindings(findings)].join("\n\n");
}

/** Of `ip:port`, or of the relay in `relay:session@ip:port`. */
function hostOf(endpoint: string): string {
  const host = endpoint.slice(endpoint.indexOf("@") + 1, endpoint.lastIndexOf(":"));
  return host.replace(/^\[(.*)\]$/, "$1");
}

function portOf(endpoint: string): number {
  return Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
}

function familyOf(address: string): Family {
  return isIPv6(address) ? "ipv6" : "ipv4";
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]|^169\.254\./i.test(address);
}
