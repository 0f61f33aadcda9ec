/** What the agent counts of its node and of its engine. Every metric is made here; docs/metrics.md is written from here. */
import type { Event, PeerState, State } from "@saf/engine";
import { addProcessMetrics, createMetricSet, SESSION_CODES, type MetricSet } from "@saf/telemetry";
import type { NodeState, StatusView } from "../local-api/views.ts";
import { OPERATOR_PEER } from "../peers/desired.ts";
import { AGENT_VERSION } from "../version.ts";
import { createEngineTotals, UNNAMED } from "./engine-totals.ts";

/** Asked at each collection. */
export interface AgentMetricsSource {
  readonly status: () => StatusView;
  /** The engine as last seen; null: it is not there. */
  readonly engine: () => State | null;
}

export interface AgentMetrics {
  readonly set: MetricSet;
  readonly engineSeen: (state: State) => void;
  readonly engineEvent: (event: Event) => void;
  readonly error: (code: string) => void;
  readonly collect: () => Promise<string>;
}

const STATES: readonly NodeState[] = [
  "unenrolled",
  "joining",
  "pending",
  "denied",
  "running",
  "degraded",
  "revoked",
  "expired",
];
const CLASSES = ["control", "dns", "interactive", "reliable", "bulk", "droppable"] as const;
const NAMED_OR_NOT = [...CLASSES, UNNAMED];
const DIRECTIONS = ["sent", "received"];
const SESSIONS = ["none", "connecting", "ready", "draining"] as const;
const PATH_STATUS = ["opening", "active", "backup", "suspect", "closed"] as const;
/** docs/wire/paths.md; `none`: by choice. */
const PATH_REASONS = [
  "none",
  "timeout",
  "peer_unavailable",
  "connection_refused",
  "connection_reset",
  "no_route_to_host",
  "capacity_limited",
];
const DROP_REASONS = [
  "malformed",
  "noRoute",
  "sourceDenied",
  "destinationDenied",
  "noSession",
  "queueFull",
  "nodeFull",
  "delayed",
  "stale",
  "tunnelRefused",
];
const PRESSURE = { nominal: 0, warning: 1, critical: 2 } as const;
const PRESSURE_REASONS = [
  "loop",
  "memory",
  "udpSend",
  "tunnel",
  "inFlight",
  "streams",
  ...CLASSES.flatMap((name) => [`queue.${name}`, `delay.${name}`]),
];
/** Of all peers, so that no series is any peer's own. */
const STATISTICS = ["median", "max"] as const;
const MICROS = 1e6;

export function createAgentMetrics({ status, engine }: AgentMetricsSource): AgentMetrics {
  const set = createMetricSet();
  addProcessMetrics(set, { prefix: "fabric_agent", version: AGENT_VERSION });
  addStatusMetrics(set, status);
  addEngineMetrics(set, engine);
  const engineSeen = countEngine(set);
  const { error, engineEvent } = countEvents(set);
  const countDocuments = documentCounter(set, status);
  const collect = (): Promise<string> => {
    countDocuments();
    return set.collect();
  };
  return { set, engineSeen, engineEvent, error, collect };
}

/** The node counts them itself; here goes what came since the last look. */
function documentCounter(set: MetricSet, status: () => StatusView): () => void {
  const documents = set.counter(
    "fabric_agent_documents_total",
    "Documents from the operator, by what became of them.",
    {
      result: { atMost: 32, example: "accepted, STALE, SIGNATURE_INVALID" },
    },
  );
  let before: Readonly<Record<string, number>> = {};
  return () => {
    const { accepted, refused } = status().documents;
    const now = { accepted, ...refused };
    for (const [result, count] of Object.entries(now))
      documents.add({ result }, count - (before[result] ?? 0));
    before = now;
  };
}

/** What `fabric status` says. */
function addStatusMetrics(set: MetricSet, status: () => StatusView): void {
  const gauge = (name: string, help: string, value: (of: StatusView) => number | null | undefined): void =>
    set.gauge(`fabric_agent_${name}`, help, {}, (tell) => tell({}, value(status()) ?? Number.NaN));
  set.gauge(
    "fabric_agent_state",
    "1 for the state that the node is in, 0 for the others.",
    { state: STATES },
    (tell) => {
      const now = status().state;
      for (const state of STATES) tell({ state }, state === now ? 1 : 0);
    },
  );
  gauge("operator_connected", "1 with a control session.", ({ operator }) => Number(operator.connected));
  gauge(
    "operator_last_heard_timestamp_seconds",
    "When the operator was last heard, unix time. Absent until it was.",
    ({ operator }) => operator.lastAckAt,
  );
  gauge("snapshot_term", "Term of the snapshot in force. Absent without one.", (of) => of.snapshot?.term);
  gauge("snapshot_epoch", "Epoch of the snapshot in force. Absent without one.", (of) => of.snapshot?.epoch);
  gauge(
    "snapshot_issued_timestamp_seconds",
    "When the snapshot in force was signed, unix time. Absent without one.",
    ({ snapshot }) => snapshot?.issuedAt,
  );
  gauge(
    "snapshot_expiry_timestamp_seconds",
    "When the snapshot in force ends, unix time. Absent without one.",
    ({ snapshot }) => snapshot?.expiresAt,
  );
  gauge(
    "certificate_issued_timestamp_seconds",
    "From when the node's certificate is valid, unix time. Absent before it has one.",
    ({ certificate }) => certificate?.notBefore,
  );
  gauge(
    "certificate_expiry_timestamp_seconds",
    "When the node's certificate ends, unix time. Absent before it has one.",
    ({ certificate }) => certificate?.notAfter,
  );
  gauge(
    "names_working",
    "1 when programs of this host find the overlay's names by themselves.",
    ({ names }) => Number(names.zone !== null && names.problem === null),
  );
  gauge("peers_known", "Peers in the snapshot in force.", ({ peers }) => peers.known);
  gauge("peers_direct", "Peers with a session that is ready.", ({ peers }) => peers.direct);
  set.gauge("fabric_engine_up", "1 when the agent is connected to the engine.", {}, (tell) =>
    tell({}, Number(status().engine.connected)),
  );
}

/** What the engine says of this moment. */
function addEngineMetrics(set: MetricSet, engine: () => State | null): void {
  const gauge = (name: string, help: string, value: (of: State) => number | undefined): void =>
    set.gauge(`fabric_engine_${name}`, help, {}, (tell) => {
      const state = engine();
      if (state) tell({}, value(state) ?? Number.NaN);
    });
  gauge("start_time_seconds", "When the engine started, unix time.", ({ startedAtMs }) => startedAtMs / 1000);
  gauge(
    "connections",
    "QUIC connections, also those on the way to a session.",
    ({ counters }) => counters["connections"],
  );
  gauge(
    "pressure_score",
    "How hard it is for this node to carry what is asked, 0 to 100.",
    (of) => of.pressure.score,
  );
  gauge(
    "pressure_level",
    "The same as a level: 0 nominal, 1 warning, 2 critical.",
    (of) => PRESSURE[of.pressure.level],
  );
  set.gauge(
    "fabric_engine_class_pressure_level",
    "Pressure on the way to the worst peer, by class: 0 nominal, 1 warning, 2 critical.",
    { class: CLASSES },
    (tell) => {
      const state = engine();
      if (state)
        for (const name of CLASSES)
          tell({ class: name }, PRESSURE[state.pressure.classes[name] ?? "nominal"]);
    },
  );
  set.gauge(
    "fabric_engine_pressure_reason_score",
    "Score of each reason for the pressure, 0 to 100. Absent: none.",
    { reason: PRESSURE_REASONS },
    (tell) => {
      for (const { reason, score } of engine()?.pressure.reasons ?? []) tell({ reason }, score);
    },
  );
  set.gauge(
    "fabric_engine_queued_bytes",
    "What waits for all peers, with its bookkeeping.",
    { class: CLASSES },
    (tell) => {
      const peers = peersOf(engine());
      for (const name of CLASSES)
        tell(
          { class: name },
          sum(peers, (peer) => peer.classes[name]?.queuedBytes ?? 0),
        );
    },
  );
  set.gauge("fabric_engine_peers", "Peers, by the state of their session.", { session: SESSIONS }, (tell) => {
    const peers = peersOf(engine());
    for (const session of SESSIONS)
      tell(
        { session },
        sum(peers, (peer) => Number(peer.session === session)),
      );
  });
  set.gauge(
    "fabric_engine_paths",
    "Paths of all sessions, by what becomes of them.",
    { status: PATH_STATUS },
    (tell) => {
      const paths = peersOf(engine()).flatMap((peer) => peer.paths);
      for (const status of PATH_STATUS)
        tell(
          { status },
          sum(paths, (path) => Number(path.status === status)),
        );
    },
  );
  const quality = (name: string, help: string, value: (path: PeerState["paths"][number]) => number): void =>
    set.gauge(
      `fabric_engine_path_${name}`,
      `${help}, over the paths in use of all peers.`,
      { statistic: STATISTICS },
      (tell) => {
        const values = peersOf(engine())
          .flatMap((peer) => peer.paths.filter(({ status }) => status === "active").map(value))
          .sort((a, b) => a - b);
        if (values.length === 0) return;
        tell({ statistic: "median" }, values[Math.floor((values.length - 1) / 2)] ?? 0);
        tell({ statistic: "max" }, values.at(-1) ?? 0);
      },
    );
  quality("rtt_seconds", "Round trip time", ({ rttMicros }) => rttMicros / MICROS);
  quality("jitter_seconds", "How much round trips vary", ({ jitterMicros }) => jitterMicros / MICROS);
  quality(
    "loss_ratio",
    "Share of sent packets lost over the last seconds",
    ({ lostPermille }) => lostPermille / 1000,
  );
}

/** What the engine counted; engine-totals.ts says how that stays true over restarts. */
function countEngine(set: MetricSet): (state: State) => void {
  const traffic = { direction: DIRECTIONS, class: NAMED_OR_NOT };
  const packets = set.counter("fabric_engine_packets_total", "Inner packets passed.", traffic);
  const bytes = set.counter("fabric_engine_bytes_total", "Bytes of inner packets passed.", traffic);
  const drops = set.counter("fabric_engine_dropped_packets_total", "Inner packets not passed on, by why.", {
    class: NAMED_OR_NOT,
    reason: DROP_REASONS,
  });
  const counter = (name: string, help: string) => set.counter(`fabric_engine_${name}_total`, help, {});
  const own = new Map([
    ["handshakesRefused", counter("handshakes_refused", "Handshakes of others that were refused.")],
    ["faultsContained", counter("faults_contained", "Faults that ended one connection and nothing else.")],
    ["udpSendErrors", counter("udp_send_errors", "Datagrams that the kernel would not send.")],
    [
      "udpPacketsRefused",
      counter("udp_packets_refused", "UDP packets neither of QUIC nor of a relay session from its relay."),
    ],
    [
      "datagramsRefused",
      counter(
        "datagrams_refused",
        "Datagrams lost because the QUIC library did not take what it had room for.",
      ),
    ],
  ]);
  return createEngineTotals({
    packets: (direction, name, count) => count > 0 && packets.add({ direction, class: name }, count),
    bytes: (direction, name, count) => count > 0 && bytes.add({ direction, class: name }, count),
    dropped: (name, reason, count) => count > 0 && drops.add({ class: name, reason }, count),
    counter: (name, count) => own.get(name)?.add({}, count),
  });
}

function countEvents(set: MetricSet): Pick<AgentMetrics, "engineEvent" | "error"> {
  const errors = set.counter("fabric_agent_errors_total", "Errors that the node lives with, by code.", {
    code: { atMost: 64, example: "ENGINE_UNREACHABLE, STATE_DISK_FULL" },
  });
  const sessions = set.counter(
    "fabric_agent_session_events_total",
    "Sessions that became ready, and sessions that ended, by why. The control session is of kind operator.",
    { kind: ["peer", "operator"], event: ["ready", "closed"], code: ["none", ...SESSION_CODES] },
  );
  const paths = set.counter(
    "fabric_agent_path_events_total",
    "Changes of paths, by what they became and why.",
    {
      status: PATH_STATUS,
      reason: PATH_REASONS,
    },
  );
  const refused = set.counter(
    "fabric_agent_handshakes_refused_total",
    "Handshakes that this node refused, by why.",
    {
      code: SESSION_CODES,
    },
  );
  const starts = set.counter("fabric_agent_pressure_events_total", "Changes of this node's pressure level.", {
    level: Object.keys(PRESSURE),
  });
  const kindOf = (peer: string): string => (peer === OPERATOR_PEER ? "operator" : "peer");

  return {
    error: (code) => errors.add({ code }),
    engineEvent(event) {
      switch (event.type) {
        case "sessionReady":
          return sessions.add({ kind: kindOf(event.peer), event: "ready", code: "none" });
        case "sessionClosed":
          return sessions.add({ kind: kindOf(event.peer), event: "closed", code: event.code });
        case "pathChanged":
          return paths.add({ status: event.status, reason: event.reason ?? "none" });
        case "refused":
          return refused.add({ code: event.code }, event.count);
        case "pressure":
          return event.peer === null ? starts.add({ level: event.level }) : undefined;
        default:
          return undefined;
      }
    },
  };
}

function peersOf(state: State | null): readonly PeerState[] {
  return state?.peers.filter(({ id }) => id !== OPERATOR_PEER) ?? [];
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
