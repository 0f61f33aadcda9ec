/** `fabric peers`: whom the node talks to, by which path, and how well. */
import type { PeersView, PeerView } from "@saf/agent";
import { formatDuration } from "../format/duration.ts";
import { formatBytes, formatMicros } from "../format/quantity.ts";
import { type Cell, formatTable } from "../format/table.ts";

const HEADERS = [
  "PEER",
  "SESSION",
  "FOR",
  "ADDRESS",
  "VIA",
  "RTT",
  "SENT",
  "RECEIVED",
  "DROPPED",
  "LAST FAILURE",
];

export function renderPeers({ peers }: PeersView, nowSeconds: number): string {
  if (peers.length === 0) return "no peers";
  const sorted = [...peers].sort((a, b) => a.name.localeCompare(b.name));
  return formatTable(
    HEADERS,
    sorted.map((peer) => peerRow(peer, nowSeconds)),
  );
}

/** The address in use, and how many more stand ready. */
function via({ remote, paths }: PeerView): string | null {
  const ready = paths.filter(({ status }) => status === "backup").length;
  return remote !== null && ready > 0 ? `${remote} +${ready}` : remote;
}

function peerRow(peer: PeerView, nowSeconds: number): Cell[] {
  const dropped = Object.values(peer.dropped).reduce((sum, count) => sum + count, 0);
  return [
    peer.name,
    peer.session,
    peer.since === null ? null : formatDuration(nowSeconds - peer.since),
    peer.addresses.ipv4,
    via(peer),
    peer.rttMicros === null ? null : formatMicros(peer.rttMicros),
    formatBytes(peer.bytes.sent),
    formatBytes(peer.bytes.received),
    dropped,
    peer.session === "ready" ? null : peer.lastFailure?.code,
  ];
}
