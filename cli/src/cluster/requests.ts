/** `fabric requests`: who asks to join, pending ones first. */
import { type JoinRequest, joinRequestKind } from "@saf/crds";
import { formatDuration } from "../format/duration.ts";
import { formatTable } from "../format/table.ts";
import type { ClusterClient } from "./cluster-client.ts";

export type Decision = "Pending" | "Approved" | "Denied";

/** Enough of the fingerprint to compare by eye with `fabric status` on the host; -o json has all of it. */
const FINGERPRINT_SHOWN = 16;

export function decisionOf(request: JoinRequest): Decision {
  return request.status?.decision ?? "Pending";
}

export async function listJoinRequests(
  client: ClusterClient,
  options: { pending?: boolean | undefined },
): Promise<JoinRequest[]> {
  const requests = await client.list(joinRequestKind);
  return requests
    .filter((request) => !options.pending || decisionOf(request) === "Pending")
    .sort(pendingFirstThenOldest);
}

export function renderJoinRequests(requests: readonly JoinRequest[], nowSeconds: number): string {
  if (requests.length === 0) return "nobody asks to join";
  const rows = requests.map((request) => {
    const { metadata, spec, status } = request;
    return [
      metadata.name,
      spec.nodeName,
      decisionOf(request),
      status?.decidedBy,
      spec.fingerprint.slice(0, FINGERPRINT_SHOWN),
      spec.tokenName ?? podOf(request),
      spec.requestedRoles.join(","),
      status?.reason,
      formatDuration(nowSeconds - Date.parse(metadata.creationTimestamp ?? "") / 1000),
    ];
  });
  const headers = ["REQUEST", "NODE", "DECISION", "BY", "FINGERPRINT", "TOKEN", "ROLES", "REASON", "AGE"];
  return formatTable(headers, rows);
}

function podOf({ spec }: JoinRequest): string | undefined {
  const { pod } = spec.attestation;
  return pod && `pod ${pod.namespace}/${pod.name}`;
}

function pendingFirstThenOldest(a: JoinRequest, b: JoinRequest): number {
  const rank = (request: JoinRequest) => (decisionOf(request) === "Pending" ? 0 : 1);
  const created = (request: JoinRequest) => request.metadata.creationTimestamp ?? "";
  return rank(a) - rank(b) || created(a).localeCompare(created(b));
}
