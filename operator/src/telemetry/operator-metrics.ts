/** What the operator counts. Every metric is made here; docs/metrics.md is written from here. */
import { addProcessMetrics, createMetricSet, SESSION_CODES, type MetricSet } from "@saf/telemetry";
import { ENROLMENT_ERRORS } from "@saf/protocol";
import { OPERATOR_VERSION } from "../version.ts";

/** What rules now, asked at each collection. */
export interface Ruling {
  readonly term: number;
  readonly epoch: () => number;
  /** Unix seconds of the newest edition of snapshots; null before the first. */
  readonly editionSeconds: () => number | null;
  readonly nodes: () => { readonly approved: number; readonly connected: number; readonly confirmed: number };
  /** Unix seconds; the next certificate of an active node to end; null: there is none. */
  readonly nextCertificateEnd: () => number | null;
  readonly caEndSeconds: number;
}

export interface OperatorMetrics {
  readonly set: MetricSet;
  readonly apiCall: (call: { verb: string; resource: string; code: string; seconds: number | null }) => void;
  /** Returns how to take it away again. */
  readonly queue: (
    controller: string,
    depth: () => { readonly waiting: number; readonly working: number },
  ) => () => void;
  readonly reconciled: (controller: string, outcome: "done" | "conflict" | "failed", seconds: number) => void;
  readonly ledgerCall: (call: { operation: string; code: string; seconds: number }) => void;
  readonly enrolment: (call: "join" | "poll" | "other", code: string) => void;
  readonly connectionRefused: () => void;
  readonly session: (event: "ready" | "closed") => void;
  readonly message: (kind: string, outcome: "taken" | "refused" | "limited") => void;
  readonly refusedHandshakes: (code: string, count: number) => void;
  readonly event: (outcome: "sent" | "failed" | "dropped") => void;
  readonly elected: () => void;
  /** Returns how to say that it is over. */
  readonly ruling: (ruling: Ruling) => () => void;
  readonly collect: () => Promise<string>;
}

const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"];
const OWN = { atMost: 32 };
/** Reconciling, the ledger and the API server all answer between a millisecond and their timeouts. */
const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createOperatorMetrics(): OperatorMetrics {
  const set = createMetricSet();
  const name = (rest: string): string => `fabric_operator_${rest}`;
  addProcessMetrics(set, { prefix: "fabric_operator", version: OPERATOR_VERSION });
  let ruling: Ruling | undefined;
  const queues = new Map<string, () => { readonly waiting: number; readonly working: number }>();
  const controllers = { ...OWN, example: "cluster, fabric-node, snapshot" };

  const apiCalls = set.counter(name("api_requests_total"), "Requests to the Kubernetes API, by outcome.", {
    verb: VERBS,
    resource: { ...OWN, example: "fabricnodes, leases" },
    code: { ...OWN, example: "OK, CONFLICT, UNAVAILABLE" },
  });
  const apiSeconds = set.histogram(
    name("api_request_seconds"),
    "How long requests to the Kubernetes API took; watches are not among them.",
    { verb: VERBS },
    SECONDS,
  );
  set.gauge(
    name("queue_keys"),
    "Keys of a controller that wait or are worked on.",
    {
      controller: controllers,
      state: ["waiting", "working"],
    },
    (tell) => {
      for (const [controller, depth] of queues) {
        const { waiting, working } = depth();
        tell({ controller, state: "waiting" }, waiting);
        tell({ controller, state: "working" }, working);
      }
    },
  );
  const reconciles = set.counter(
    name("reconciles_total"),
    "Reconciles; a conflict is another writer and is tried again at once.",
    { controller: controllers, outcome: ["done", "conflict", "failed"] },
  );
  const reconcileSeconds = set.histogram(
    name("reconcile_seconds"),
    "How long reconciles took.",
    { controller: controllers },
    SECONDS,
  );
  const ledgerLabels = { operation: { ...OWN, example: "admitJoin, advanceEpoch" } };
  const ledgerCalls = set.counter(name("ledger_calls_total"), "Transactions of the ledger, by outcome.", {
    ...ledgerLabels,
    code: { ...OWN, example: "OK, FENCED, LEDGER_UNAVAILABLE" },
  });
  const ledgerSeconds = set.histogram(
    name("ledger_seconds"),
    "How long transactions of the ledger took.",
    ledgerLabels,
    SECONDS,
  );
  const enrolments = set.counter(
    name("enrolment_requests_total"),
    "Requests to the enrolment API, by answer.",
    { call: ["join", "poll", "other"], code: ["OK", ...Object.keys(ENROLMENT_ERRORS)] },
  );
  const refusedConnections = set.counter(
    name("enrolment_connections_refused_total"),
    "TCP connections refused before TLS, because their source had too many.",
    {},
  );
  const sessions = set.counter(
    name("control_session_events_total"),
    "Control sessions that began or ended.",
    {
      event: ["ready", "closed"],
    },
  );
  const messages = set.counter(name("control_messages_total"), "Messages of nodes, by what became of them.", {
    kind: ["heartbeat", "renew"],
    outcome: ["taken", "refused", "limited"],
  });
  const handshakes = set.counter(
    name("control_handshakes_refused_total"),
    "Handshakes that the operator's engine refused.",
    { code: SESSION_CODES },
  );
  const events = set.counter(name("events_total"), "Kubernetes Events, by what became of them.", {
    outcome: ["sent", "failed", "dropped"],
  });
  const elections = set.counter(name("elections_total"), "Times that this operator was elected.", {});

  const gauge = (rest: string, help: string, value: (of: Ruling) => number | null): void =>
    set.gauge(name(rest), `${help} Absent where another operator rules.`, {}, (tell) => {
      const now = ruling && value(ruling);
      if (now !== undefined && now !== null) tell({}, now);
    });
  set.gauge(name("ruling"), "1 where this operator signs, 0 on a standby.", {}, (tell) =>
    tell({}, ruling ? 1 : 0),
  );
  gauge("term", "Term under which this operator signs.", ({ term }) => term);
  gauge("epoch", "Newest epoch.", ({ epoch }) => epoch());
  gauge("edition_timestamp_seconds", "When the newest snapshots were compiled, unix time.", (of) =>
    of.editionSeconds(),
  );
  gauge("ca_expiry_timestamp_seconds", "When the cluster's CA ends, unix time.", (of) => of.caEndSeconds);
  gauge(
    "node_certificate_next_expiry_timestamp_seconds",
    "When the next certificate of an active node ends, unix time.",
    (of) => of.nextCertificateEnd(),
  );
  set.gauge(
    name("nodes"),
    "Nodes that are members, in session, and living by the newest epoch. Absent where another operator rules.",
    { state: ["approved", "connected", "confirmed"] },
    (tell) => {
      for (const [state, count] of Object.entries(ruling?.nodes() ?? {})) tell({ state }, count);
    },
  );

  return {
    set,
    apiCall({ verb, resource, code, seconds }) {
      apiCalls.add({ verb, resource, code });
      if (seconds !== null) apiSeconds.observe({ verb }, seconds);
    },
    queue(controller, depth) {
      queues.set(controller, depth);
      return () => {
        if (queues.get(controller) === depth) queues.delete(controller);
      };
    },
    reconciled(controller, outcome, seconds) {
      reconciles.add({ controller, outcome });
      reconcileSeconds.observe({ controller }, seconds);
    },
    ledgerCall({ operation, code, seconds }) {
      ledgerCalls.add({ operation, code });
      ledgerSeconds.observe({ operation }, seconds);
    },
    enrolment: (call, code) => enrolments.add({ call, code }),
    connectionRefused: () => refusedConnections.add({}),
    session: (event) => sessions.add({ event }),
    message: (kind, outcome) => messages.add({ kind, outcome }),
    refusedHandshakes: (code, count) => handshakes.add({ code }, count),
    event: (outcome) => events.add({ outcome }),
    elected: () => elections.add({}),
    ruling(now) {
      ruling = now;
      return () => {
        if (ruling === now) ruling = undefined;
      };
    },
    collect: () => set.collect(),
  };
}
