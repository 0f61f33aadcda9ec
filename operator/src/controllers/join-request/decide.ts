/**
 * What is to be done about a join request, from the ledger's row and the JoinRequest that shows it.
 *
 * The row is the truth: it says who asks, and once decided it never changes. The object is where people answer. An answer counts
 * only when the object shows exactly what the row says, so that nobody approves something else than what they saw.
 */
import { isDeepStrictEqual } from "node:util";
import type { JoinRequest, JoinRequestSpec, JoinRequestStatus, Role } from "@saf/crds";
import { ROLES } from "@saf/crds";
import type { AttestedPod, JoinRequestRecord } from "../../ledger/ledger.ts";
import { conditionsFrom, finding, rfc3339, type Finding } from "../condition.ts";

/** What people have said so far. */
export type Verdict =
  { readonly decision: "Approved" | "Denied"; readonly actor: string; readonly reason: string } | undefined;

/** One Deny outweighs any number of approvals: whoever saw a reason against it is heard. */
export function verdictOf({ spec }: JoinRequest): Verdict {
  const entries = spec.approvals ?? [];
  const entry = entries.find(({ decision }) => decision === "Deny") ?? entries[0];
  if (!entry) return undefined;
  const decision = entry.decision === "Deny" ? "Denied" : "Approved";
  return { decision, actor: entry.user, reason: entry.reason ?? "" };
}

/** No person's name: people are named as the API server knows them, by `spec.approvals`. */
export function approvedByPolicy({ namespace, serviceAccount }: AttestedPod): NonNullable<Verdict> {
  const actor = `policy/serviceaccount/${namespace}/${serviceAccount}`;
  return { decision: "Approved", actor, reason: "the Cluster's spec.enrolment approves its pods" };
}

/** Whether the object shows what the row says: who asks, and all that the host said of itself. */
export function shows({ spec }: JoinRequest, row: JoinRequestRecord): boolean {
  return isDeepStrictEqual(asAsked(spec), asAsked(specFor(row)));
}

/** Without what people said since. */
function asAsked(spec: JoinRequestSpec): JoinRequestSpec {
  return { ...spec, approvals: [], requestedRoles: [...spec.requestedRoles].sort() };
}

/** Whether the status tells the row's decision, and all that followed from it is done. Whoever may write a status may have lied. */
export function tells({ status }: JoinRequest, row: JoinRequestRecord): boolean {
  const { decision, decidedBy, decidedAt, reason, nodeId } = status ?? {};
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const said = Object.entries({ decidedBy, decidedAt, reason, nodeId }).filter(
    ([, value]) => value !== undefined,
  );
  return (
    row.decision !== "Pending" &&
    decision === row.decision &&
    ready?.reason === row.decision &&
    isDeepStrictEqual(Object.fromEntries(said), { ...decisionOf(row) })
  );
}

export function specFor(row: JoinRequestRecord): JoinRequestSpec {
  return {
    nodeName: row.nodeName,
    fingerprint: row.fingerprint,
    ...(row.tokenName === null ? {} : { tokenName: row.tokenName }),
    requestedRoles: rolesOf(row),
    ...(row.area === null ? {} : { area: row.area }),
    facts: row.facts,
    capabilities: { protocolVersions: [...row.capabilities.protocolVersions] },
    candidates: [...row.candidates],
    attestation: row.pod === null ? { type: "JoinToken" } : { type: "ServiceAccount", pod: { ...row.pod } },
  };
}

export function rolesOf(row: JoinRequestRecord): Role[] {
  return ROLES.filter((role) => row.requestedRoles.includes(role));
}

export interface RequestInput {
  readonly request: JoinRequest;
  readonly row: JoinRequestRecord | undefined;
  /** Why an approval could not be carried out yet. */
  readonly obstacle?: Obstacle | undefined;
  readonly nowMs: number;
}

export interface Obstacle {
  readonly reason: "AddressPoolExhausted" | "NodeNameTaken" | "ObjectInTheWay";
  readonly message: string;
}

export function decideRequestStatus({ request, row, obstacle, nowMs }: RequestInput): JoinRequestStatus {
  const { generation } = request.metadata;
  const findings = findingsFor(request, row, obstacle);
  const conditions = conditionsFrom(findings, { previous: request.status?.conditions, generation, nowMs });
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const known = row && shows(request, row) ? row : undefined;
  return { ...observed, conditions, decision: known?.decision ?? "Pending", ...decisionOf(known) };
}

function decisionOf(row: JoinRequestRecord | undefined): Partial<JoinRequestStatus> {
  if (!row || row.decision === "Pending") return {};
  return {
    ...(row.decidedBy === null ? {} : { decidedBy: row.decidedBy }),
    ...(row.decidedAt === null ? {} : { decidedAt: rfc3339(row.decidedAt * 1000) }),
    ...(row.reason === null || row.reason === "" ? {} : { reason: row.reason }),
    ...(row.nodeId === null ? {} : { nodeId: row.nodeId }),
  };
}

function findingsFor(
  request: JoinRequest,
  row: JoinRequestRecord | undefined,
  obstacle: Obstacle | undefined,
): Finding[] {
  if (!row)
    return undecided("UnknownToLedger", "no host asked for this; it was made by hand and cannot be decided");
  if (!shows(request, row))
    return undecided("SpecMismatch", "it does not show what the host asked; delete it to see that");
  const by = `by ${row.decidedBy ?? "nobody"}${row.reason ? `: ${row.reason}` : ""}`;
  if (row.decision === "Approved" && obstacle)
    return [
      finding("Ready", "False", obstacle.reason, obstacle.message),
      ...decided("True", "Approved", `approved ${by}`).slice(1),
    ];
  if (row.decision === "Approved") return decided("True", "Approved", `approved ${by}`);
  if (row.decision === "Denied") return decided("False", "Denied", `denied ${by}`);
  if (obstacle) return undecided(obstacle.reason, obstacle.message);
  return undecided("AwaitingDecision", "nobody has approved or denied it yet");
}

function undecided(reason: string, message: string): Finding[] {
  return [
    finding("Ready", "False", reason, message),
    finding("Approved", "False", reason, message),
    finding("Denied", "False", reason, message),
  ];
}

function decided(approved: "True" | "False", reason: string, message: string): Finding[] {
  return [
    finding("Ready", approved, reason, message),
    finding("Approved", approved, reason, message),
    finding("Denied", approved === "True" ? "False" : "True", reason, message),
  ];
}
