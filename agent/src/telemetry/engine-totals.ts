/**
 * The engine's counters as counters that only grow.
 *
 * The engine counts for each peer, from its own start, and forgets a peer that is no longer wanted. Told as they are, the sums over
 * peers would fall with each peer that leaves and with each restart of the engine. So what is told is what they grew by, from
 * one look to the next; what happens between the last look and the end of an engine or a peer, some seconds at most, is not told.
 *
 * The first engine that an agent finds may be older than the agent: what it counted before is not this agent's to tell.
 */
import type { PeerState, State, TrafficClass } from "@saf/engine";

/** What did not name its class: received datagrams, and packets dropped before they had one. */
export const UNNAMED = "unnamed";

export interface EngineCounts {
  packets(direction: "sent" | "received", trafficClass: string, count: number): void;
  bytes(direction: "sent" | "received", trafficClass: string, count: number): void;
  dropped(trafficClass: string, reason: string, count: number): void;
  /** Of the engine itself, by its own name. */
  counter(name: string, count: number): void;
}

type Counted = Pick<PeerState, "classes" | "dropped" | "rxDatagrams" | "rxDatagramBytes">;

const NOTHING: Counted = { classes: {}, dropped: {}, rxDatagrams: 0, rxDatagramBytes: 0 };
/** The engine's own drops among its counters. */
const DROPPED = "dropped.";

export function createEngineTotals(counts: EngineCounts): (state: State) => void {
  let before: State | null = null;

  return (state) => {
    const older = before?.instanceId === state.instanceId ? before : null;
    const isFirst = before === null;
    before = state;
    if (isFirst) return;
    const peers = new Map(older?.peers.map((peer) => [peer.id, peer]));
    for (const peer of state.peers) countPeer(peer, peers.get(peer.id) ?? NOTHING, counts);
    for (const [name, value] of Object.entries(state.counters)) {
      const grown = growth(value, older?.counters[name]);
      if (name.startsWith(DROPPED)) counts.dropped(UNNAMED, name.slice(DROPPED.length), grown);
      else counts.counter(name, grown);
    }
  };
}

function countPeer(now: Counted, before: Counted, counts: EngineCounts): void {
  /** Drops whose class is known stand in `dropped` too. */
  const named: Record<string, number> = {};
  for (const [name, traffic] of Object.entries(now.classes)) {
    const old = before.classes[name as TrafficClass];
    counts.packets("sent", name, growth(traffic.txPackets, old?.txPackets));
    counts.bytes("sent", name, growth(traffic.txBytes, old?.txBytes));
    counts.packets("received", name, growth(traffic.rxPackets, old?.rxPackets));
    counts.bytes("received", name, growth(traffic.rxBytes, old?.rxBytes));
    for (const [reason, count] of Object.entries(traffic.dropped)) {
      const grown = growth(count, old?.dropped[reason]);
      counts.dropped(name, reason, grown);
      named[reason] = (named[reason] ?? 0) + grown;
    }
  }
  counts.packets("received", UNNAMED, growth(now.rxDatagrams, before.rxDatagrams));
  counts.bytes("received", UNNAMED, growth(now.rxDatagramBytes, before.rxDatagramBytes));
  for (const [reason, count] of Object.entries(now.dropped)) {
    const unnamed = growth(count, before.dropped[reason]) - (named[reason] ?? 0);
    if (unnamed > 0) counts.dropped(UNNAMED, reason, unnamed);
  }
}

/** A count that is less than it was began anew. */
function growth(now: number, before = 0): number {
  return now >= before ? now - before : now;
}
