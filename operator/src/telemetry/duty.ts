/**
 * Whether the operator does its duty, as probes ask: told by its parts, read off when asked.
 *
 *   standby ─► elected ─► claiming ─► ruling
 *      ▲       (no Cluster   │ refused    │ fenced, Lease lost
 *      └──────── yet) ───────┴────────────┘
 *
 * Ready is who can do what is asked of it: a standby hears from the API server and could lead at any moment; a ruler has its enrolment API open, its engine connected and its ledger answering. Not alive is only who a restart would help: the election
 * turns every second or two whatever fails around it, so when it stands still something here hangs.
 */
import type { Health } from "@saf/telemetry";

export interface Duty {
  /** The election looked at the Lease; `undefined`: the API server did not answer. */
  readonly looked: (holder: "self" | "other" | "unclear" | undefined) => void;
  /** Returns how to say that it is over. */
  readonly elected: () => () => void;
  readonly claiming: () => void;
  /** Why the authority was not taken. */
  readonly refused: (reason: string) => void;
  /** Returns how to say that it is over. */
  readonly ruling: () => () => void;
  readonly enrolment: (open: boolean) => void;
  readonly engine: (connected: boolean) => void;
  readonly ledger: (answers: boolean) => void;
  readonly ready: () => Health;
  readonly live: () => Health;
}

export interface DutyInit {
  readonly elapsedMs: () => number;
  /** How long a Lease lasts that nobody renews. */
  readonly leaseMs: number;
}

/** Beyond the Lease's own time: a busy API server may need longer than usual once. */
const API_SILENCE_GRACE_MS = 5_000;
/** The longest that the election waits by design is twice the Lease's time; anything beyond this many of them is a hang. */
const HUNG_LEASES = 10;

type Stage = "starting" | "standby" | "elected" | "claiming" | "ruling";

export function createDuty({ elapsedMs, leaseMs }: DutyInit): Duty {
  let stage: Stage = "starting";
  let refusal: string | null = null;
  let turnedMs = elapsedMs();
  let answeredMs = Number.NEGATIVE_INFINITY;
  const parts = { enrolment: false, engine: false, ledger: true };

  const fault = (): string | null => {
    if (elapsedMs() - answeredMs > leaseMs + API_SILENCE_GRACE_MS) return "API_SERVER_SILENT";
    if (refusal !== null) return refusal;
    if (stage === "starting") return "STARTING";
    if (stage === "claiming") return "CLAIMING";
    if (stage !== "ruling") return null;
    if (!parts.ledger) return "LEDGER_UNAVAILABLE";
    if (!parts.engine) return "ENGINE_UNREACHABLE";
    return parts.enrolment ? null : "ENROLMENT_CLOSED";
  };

  return {
    looked(holder) {
      turnedMs = elapsedMs();
      if (holder === undefined) return;
      answeredMs = turnedMs;
      if (holder === "other" || stage === "starting") stage = "standby";
      // Somebody else rules: what stood in this one's way may be over.
      if (holder === "other") refusal = null;
    },
    elected() {
      stage = "elected";
      return () => {
        stage = "standby";
      };
    },
    claiming() {
      [stage, refusal] = ["claiming", null];
    },
    refused(reason) {
      refusal = reason;
    },
    ruling() {
      stage = "ruling";
      return () => {
        stage = "elected";
      };
    },
    enrolment: (open) => void (parts.enrolment = open),
    engine: (connected) => void (parts.engine = connected),
    ledger: (answers) => void (parts.ledger = answers),
    ready() {
      const reason = fault();
      return { ok: reason === null, state: stage, reason };
    },
    live() {
      const hangs = elapsedMs() - turnedMs > HUNG_LEASES * leaseMs;
      return { ok: !hangs, state: stage, reason: hangs ? "ELECTION_HANGS" : null };
    },
  };
}
