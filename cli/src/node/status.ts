/** `fabric status`: what the node is, whom it belongs to and what it lives by. */
import type { StatusView } from "@saf/agent";
import { formatMoment } from "../format/duration.ts";
import { type Cell, formatFields } from "../format/table.ts";

const ERRORS_SHOWN = 3;

export function renderStatus(status: StatusView, nowSeconds: number): string {
  const fields: (readonly [string, Cell])[] = [
    ["Node", status.nodeName],
    ["State", status.reason === null ? status.state : `${status.state}: ${status.reason}`],
    ["Cluster", status.trustDomain],
    ["Node id", status.nodeId],
    ["Fingerprint", status.fingerprint],
    ...joinFields(status),
    ["Addresses", status.addresses && `${status.addresses.ipv4} ${status.addresses.ipv6}`],
    ["Roles", status.roles.join(", ")],
    ["Area", status.area],
    ["Peers", `${status.peers.direct} of ${status.peers.known} direct`],
    ["Names", namesText(status)],
    ["Operator", operatorText(status, nowSeconds)],
    ["Snapshot", snapshotText(status, nowSeconds)],
    ["Certificate", status.certificate && `expires ${formatMoment(status.certificate.notAfter, nowSeconds)}`],
    ["Engine", engineText(status)],
    ["Pressure", pressureText(status)],
    ["Offloads", offloadsText(status)],
    ["Candidates", status.candidates.join(", ")],
    ["Agent", `${status.agentVersion}, started ${formatMoment(status.startedAt, nowSeconds)}`],
    ...status.engine.notes.map((text) => ["Note", text] as const),
    ...status.lastErrors
      .slice(0, ERRORS_SHOWN)
      .map(
        ({ at, code, message }) => ["Error", `${formatMoment(at, nowSeconds)}: ${code}: ${message}`] as const,
      ),
  ];
  return formatFields(fields);
}

function joinFields({ join }: StatusView): (readonly [string, Cell])[] {
  if (join === null) return [];
  return [
    [
      "Join",
      `${join.server} with ${join.tokenId === null ? "its service account" : `token ${join.tokenId}`}${join.requestId ? `, request ${join.requestId}` : ""}`,
    ],
  ];
}

function namesText({ names }: StatusView): string | null {
  const { zone, mode, server, problem } = names;
  const why = problem ? `: ${problem.message}` : "";
  if (zone === null) return problem && `none${why}`;
  const from = server ?? "nowhere";
  return mode === null ? `${zone}, only from ${from}${why}` : `${zone} by ${mode}, from ${from}${why}`;
}

function operatorText({ operator }: StatusView, nowSeconds: number): string {
  const heard =
    operator.lastAckAt === null ? "never heard" : `heard ${formatMoment(operator.lastAckAt, nowSeconds)}`;
  const seen = operator.observed === null ? "" : `, sees this node at ${operator.observed}`;
  return `${operator.connected ? "connected" : "not connected"}, ${heard}${seen}`;
}

function snapshotText({ snapshot }: StatusView, nowSeconds: number): string | null {
  if (snapshot === null) return null;
  return `term ${snapshot.term} epoch ${snapshot.epoch}, expires ${formatMoment(snapshot.expiresAt, nowSeconds)}`;
}

function pressureText({ engine: { pressure } }: StatusView): string | null {
  if (pressure === null) return null;
  const reasons = pressure.reasons.map(({ reason, score }) => `${reason} ${score}`);
  const classes = Object.entries(pressure.classes).map(([name, level]) => `${name} ${level}`);
  return [`${pressure.level} (${pressure.score} of 100)`, ...reasons, ...classes].join(", ");
}

function offloadsText({ engine: { offloads } }: StatusView): string | null {
  if (offloads === null) return null;
  const listed = (granted: boolean) =>
    Object.entries(offloads)
      .filter(([, isGranted]) => isGranted === granted)
      .map(([name]) => name)
      .join(", ");
  if (listed(false) === "") return "all";
  return `${listed(true) || "none"}; without ${listed(false)}`;
}

function engineText({ engine }: StatusView): string {
  if (!engine.connected) return "not connected";
  return [`connected`, engine.version, engine.interface].filter((part) => part !== null).join(", ");
}
