/**
 * The node's state, as `fabric status` and heartbeats tell it. Pure: events in, model out, and the state is read off the model,
 * so no order of events can leave it contradicting what the node knows.
 */
import { unreachable } from "../errors.ts";
import type { NodeState } from "../local-api/views.ts";

export interface Reason {
  readonly code: string;
  readonly message: string;
}

export interface NodeModel {
  /** `lost`: there is a membership, but it cannot be used any more (damaged beyond recovery). */
  readonly membership: "none" | "joining" | "pending" | "denied" | "member" | "revoked" | "lost";
  /** Why membership is what it is. */
  readonly reason: Reason | null;
  readonly snapshot: "none" | "current" | "expired";
  readonly certificate: "current" | "expired";
  readonly operator: "unheard" | "heard" | "silent";
  /** What keeps the engine from doing what the snapshot says; null when nothing does. */
  readonly engineFault: Reason | null;
  /** What keeps the node from writing down what it believes. */
  readonly storageFault: Reason | null;
}

export type NodeEvent =
  | { readonly type: "joinStarted" }
  | { readonly type: "joinDelayed"; readonly reason: Reason }
  | { readonly type: "joinAccepted" }
  | { readonly type: "joinRefused"; readonly reason: Reason }
  | { readonly type: "joinDenied"; readonly reason: string }
  | { readonly type: "joined" }
  | { readonly type: "revoked"; readonly reason: string }
  | { readonly type: "membershipLost"; readonly reason: Reason }
  | { readonly type: "snapshotApplied" }
  | { readonly type: "snapshotExpired" }
  | { readonly type: "certificateRenewed" }
  | { readonly type: "certificateExpired" }
  | { readonly type: "operatorHeard" }
  | { readonly type: "operatorSilent" }
  | { readonly type: "engineWorking" }
  | { readonly type: "engineFailing"; readonly reason: Reason }
  | { readonly type: "storageWorking" }
  | { readonly type: "storageFailing"; readonly reason: Reason };

export const INITIAL_NODE: NodeModel = {
  membership: "none",
  reason: null,
  snapshot: "none",
  certificate: "current",
  operator: "unheard",
  engineFault: { code: "ENGINE_UNREACHABLE", message: "not connected to the engine yet" },
  storageFault: null,
};

export function reduce(model: NodeModel, event: NodeEvent): NodeModel {
  switch (event.type) {
    case "joinStarted":
      return { ...INITIAL_NODE, engineFault: model.engineFault, membership: "joining" };
    case "joinDelayed":
      return { ...model, reason: event.reason };
    case "joinAccepted":
      return { ...model, membership: "pending", reason: null };
    case "joinRefused":
      return { ...model, membership: "none", reason: event.reason };
    case "joinDenied":
      return { ...model, membership: "denied", reason: { code: "DENIED", message: event.reason } };
    case "joined":
      return { ...INITIAL_NODE, engineFault: model.engineFault, membership: "member" };
    case "revoked":
      return { ...model, membership: "revoked", reason: { code: "REVOKED", message: event.reason } };
    case "membershipLost":
      return { ...model, membership: "lost", reason: event.reason };
    case "snapshotApplied":
      return { ...model, snapshot: "current" };
    case "snapshotExpired":
      return { ...model, snapshot: "expired" };
    case "certificateRenewed":
      return { ...model, certificate: "current" };
    case "certificateExpired":
      return { ...model, certificate: "expired" };
    case "operatorHeard":
      return { ...model, operator: "heard" };
    case "operatorSilent":
      return { ...model, operator: "silent" };
    case "engineWorking":
      return { ...model, engineFault: null };
    case "engineFailing":
      return { ...model, engineFault: event.reason };
    case "storageWorking":
      return { ...model, storageFault: null };
    case "storageFailing":
      return { ...model, storageFault: event.reason };
    default:
      return unreachable(event);
  }
}

export interface ToldState {
  readonly state: NodeState;
  readonly reason: Reason | null;
}

export function tell(model: NodeModel): ToldState {
  switch (model.membership) {
    case "none":
      return { state: "unenrolled", reason: model.reason };
    case "joining":
    case "pending":
    case "denied":
    case "revoked":
      return { state: model.membership, reason: model.reason };
    case "lost":
      return { state: "expired", reason: model.reason };
    case "member":
      return tellMember(model);
    default:
      return unreachable(model.membership);
  }
}

const CERTIFICATE_EXPIRED = {
  code: "CERTIFICATE_EXPIRED",
  message: "the certificate expired before it was renewed",
};
const SNAPSHOT_EXPIRED = {
  code: "SNAPSHOT_EXPIRED",
  message: "the snapshot expired without word from the operator",
};
const SNAPSHOT_AWAITED = { code: "SNAPSHOT_AWAITED", message: "approved; waiting for the first snapshot" };
const OPERATOR_UNHEARD = {
  code: "OPERATOR_UNHEARD",
  message: "living by the snapshot on disk; no word from the operator yet",
};
const OPERATOR_SILENT = {
  code: "OPERATOR_SILENT",
  message: "the operator does not answer; living by the snapshot",
};

/** The gravest first. */
function tellMember({ certificate, snapshot, engineFault, storageFault, operator }: NodeModel): ToldState {
  if (certificate === "expired") return { state: "expired", reason: CERTIFICATE_EXPIRED };
  if (snapshot === "expired") return { state: "expired", reason: SNAPSHOT_EXPIRED };
  if (snapshot === "none") return { state: "joining", reason: engineFault ?? SNAPSHOT_AWAITED };
  if (engineFault) return { state: "degraded", reason: engineFault };
  if (operator === "unheard") return { state: "degraded", reason: OPERATOR_UNHEARD };
  if (operator === "silent") return { state: "degraded", reason: OPERATOR_SILENT };
  if (storageFault) return { state: "degraded", reason: storageFault };
  return { state: "running", reason: null };
}
