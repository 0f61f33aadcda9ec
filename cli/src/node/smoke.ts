/**
 * `fabric smoke`: does this node do what it is there for, from end to end? The engine lives, the snapshot is verified and in force, the
 * operator is in session, every peer answers over the overlay by IPv4 and by IPv6, and names mean what they should.
 */
import type { DiagnosticsView, PeerView } from "@saf/agent";
import { formatDuration } from "../format/duration.ts";
import { fail, ok, warn, type Finding } from "./findings.ts";
import type { Reach } from "./reach.ts";
import type { Answer } from "./resolve.ts";

export interface SmokeProbes {
  readonly reach: (address: string) => Promise<Reach>;
  readonly askServer: (server: string, name: string) => Promise<Answer>;
  readonly askHost: (name: string) => Promise<Answer>;
}

/** Peers that are asked at the same time: each costs two processes. */
const MAX_AT_ONCE = 8;

/** @param only names of peers; empty: all of them */
export async function smoke(
  view: DiagnosticsView,
  probes: SmokeProbes,
  { only, nowSeconds }: { readonly only: readonly string[]; readonly nowSeconds: number },
): Promise<readonly Finding[]> {
  const peers = view.peers.peers.filter(({ name }) => only.length === 0 || only.includes(name));
  const unknown = only.filter((name) => !peers.some((peer) => peer.name === name));
  return [
    ...nodeFindings(view, nowSeconds),
    ...unknown.map((name) => fail(`peer ${name}`, "this node knows no such peer")),
    ...(await inTurns(peers, (peer) => peerFinding(peer, probes))),
    ...(await nameFindings(view, peers, probes)),
  ];
}

function nodeFindings({ status, health }: DiagnosticsView, now: number): readonly Finding[] {
  const { engine, snapshot, certificate, operator } = status;
  const until = (end: number): string => formatDuration(end - now);
  return [
    health.live.ok
      ? ok("agent", `${status.agentVersion}, ${status.state}`)
      : fail("agent", "it stands still"),
    engine.connected
      ? ok("engine", `${engine.version}, interface ${engine.interface ?? "none"}`)
      : fail("engine", "the agent is not connected to it"),
    snapshot && snapshot.expiresAt > now
      ? ok(
          "snapshot",
          `verified, term ${snapshot.term} epoch ${snapshot.epoch}, for ${until(snapshot.expiresAt)}`,
        )
      : fail("snapshot", "none is in force"),
    certificate && certificate.notAfter > now
      ? ok("certificate", `for ${until(certificate.notAfter)}`)
      : fail("certificate", "none is valid"),
    operator.connected
      ? ok(
          "control session",
          `heard ${operator.lastAckAt === null ? "nothing yet" : `${formatDuration(now - operator.lastAckAt)} ago`}`,
        )
      : fail("control session", status.reasonCode ?? "not connected"),
  ];
}

async function peerFinding(
  { name, session, addresses, lastFailure }: PeerView,
  { reach }: SmokeProbes,
): Promise<Finding> {
  const what = `peer ${name}`;
  if (session !== "ready") return fail(what, `session ${session}: ${lastFailure?.code ?? "no failure told"}`);
  const [v4, v6] = await Promise.all([reach(addresses.ipv4), reach(addresses.ipv6)]);
  const said = [v4, v6].map((seen, index) => {
    const family = index === 0 ? "IPv4" : "IPv6";
    return seen.answered
      ? `${family} ${seen.rttMs === null ? "answers" : `${seen.rttMs.toFixed(1)} ms`}`
      : `${family} silent`;
  });
  return v4.answered && v6.answered
    ? ok(what, `${said.join(", ")} (${v4.by})`)
    : fail(what, `${said.join(", ")} (${v4.by})`);
}

async function nameFindings(
  { status }: DiagnosticsView,
  peers: readonly PeerView[],
  { askServer, askHost }: SmokeProbes,
): Promise<readonly Finding[]> {
  const { zone, server, mode, problem } = status.names;
  if (zone === null || status.addresses === null)
    return [warn("names", problem?.code ?? "no zone in the snapshot")];
  if (server === null) return [warn("names", problem?.code ?? "there is no name server")];
  const asked = [
    { name: status.nodeName, addresses: status.addresses },
    ...peers.slice(0, 1).map(({ name, addresses }) => ({ name, addresses })),
  ];
  const findings: Finding[] = [];
  for (const { name, addresses } of asked) {
    const full = `${name}.${zone}`;
    const { addresses: found, problem: why } = await askServer(server, full);
    const right = found.includes(addresses.ipv4) && found.includes(addresses.ipv6);
    findings.push(
      right ? ok(`name ${full}`, found.join(", ")) : fail(`name ${full}`, why ?? `means ${found.join(", ")}`),
    );
  }
  const own = `${status.nodeName}.${zone}`;
  if (mode === null)
    return [...findings, warn("resolver", problem?.message ?? "programs of this host do not ask it")];
  const { addresses: found, problem: why } = await askHost(own);
  const right = found.some(
    (address) => address === status.addresses?.ipv4 || address === status.addresses?.ipv6,
  );
  return [
    ...findings,
    right ? ok("resolver", mode) : fail("resolver", why ?? `${own} means ${found.join(", ")}`),
  ];
}

async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += MAX_AT_ONCE)
    results.push(...(await Promise.all(items.slice(from, from + MAX_AT_ONCE).map(work))));
  return results;
}
