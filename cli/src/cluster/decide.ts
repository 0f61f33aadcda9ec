/**
 * `fabric approve|reject`: adds or changes the caller's own entry in a JoinRequest's `spec.approvals`. The name comes from the
 * API server, which also refuses an entry for anybody else. Server-side apply, with a field manager of its own for each
 * user, leaves everybody else's entries alone.
 */
import { createHash } from "node:crypto";
import { type JoinRequest, joinRequestKind } from "@saf/crds";
import { CliError, EXIT } from "../errors.ts";
import type { ClusterClient } from "./cluster-client.ts";
import { decisionOf } from "./requests.ts";

export interface DecisionRequest {
  /** Name of the request, or of the node that asks. */
  target: string;
  decision: "Approve" | "Deny";
  reason?: string | undefined;
}

export interface DecisionResult {
  request: string;
  nodeName: string;
  decision: "Approve" | "Deny";
  user: string;
  /** True when it had been decided so before, and nothing was changed. */
  already: boolean;
}

const OUTCOME = { Approve: "Approved", Deny: "Denied" } as const;

export async function decide(client: ClusterClient, wanted: DecisionRequest): Promise<DecisionResult> {
  const request = await findRequest(client, wanted.target);
  const { name, uid = "" } = request.metadata;
  const result = { request: name, nodeName: request.spec.nodeName, decision: wanted.decision };
  const decided = decisionOf(request);
  if (decided === OUTCOME[wanted.decision]) {
    return { ...result, user: request.status?.decidedBy ?? "", already: true };
  }
  if (decided !== "Pending") {
    throw new CliError(
      "ALREADY_DECIDED",
      `request ${name} was ${decided.toLowerCase()} by ${request.status?.decidedBy}`,
      {
        exit: EXIT.failure,
        hint: "the first decision is final; revoke the node, or let it ask again with a new key",
      },
    );
  }
  const user = await client.userName();
  const entry = { user, decision: wanted.decision, ...(wanted.reason ? { reason: wanted.reason } : {}) };
  await client.applySpec(joinRequestKind, { name, uid }, { approvals: [entry] }, fieldManagerOf(user));
  return { ...result, user, already: false };
}

export function renderDecision({ request, nodeName, decision, user, already }: DecisionResult): string {
  const verb = decision === "Approve" ? "approved" : "rejected";
  return already
    ? `${nodeName} was already ${verb} by ${user} (${request})`
    : `${nodeName} ${verb} as ${user} (${request})`;
}

/** By the request's own name, or by the node's: then a pending one is meant, if there is any. */
async function findRequest(client: ClusterClient, target: string): Promise<JoinRequest> {
  const all = await client.list(joinRequestKind);
  const exact = all.find((request) => request.metadata.name === target);
  if (exact) return exact;
  const ofNode = all.filter((request) => request.spec.nodeName === target);
  const pending = ofNode.filter((request) => decisionOf(request) === "Pending");
  const [found, second] = pending.length > 0 ? pending : ofNode;
  if (found === undefined) {
    throw new CliError("NOT_FOUND", `no join request or node "${target}" in namespace ${client.namespace}`, {
      exit: EXIT.notFound,
      hint: "fabric requests lists them",
    });
  }
  if (second === undefined) return found;
  const names = ofNode.map((request) => request.metadata.name).join(", ");
  throw new CliError("AMBIGUOUS", `several hosts ask to be "${target}": ${names}`, {
    exit: EXIT.failure,
    hint: "compare the fingerprints and name the request",
  });
}

/** A field manager has at most 128 characters; a user name may have more. */
function fieldManagerOf(user: string): string {
  return `fabric-cli-${createHash("sha256").update(user).digest("hex").slice(0, 16)}`;
}
