/** Joins what ledger, FabricNodes and observations say of each node into the compiler's input. */
import type { FabricNode } from "@saf/crds";
import type { Fleet } from "../../control/fleet.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { belongs } from "../fabric-node/decide.ts";
import type { Scope } from "../scope.ts";
import type { CompileInput } from "./compile.ts";
import type { FleetNode } from "./fleet-node.ts";

export function gather(scope: Scope): CompileInput {
  const { authority, caches, clock, cluster, fleet, identities } = scope;
  const { metadata, spec } = cluster();
  return {
    cluster: { ...spec, name: metadata.name },
    control: authority.control,
    nodes: [...identities.all(), ...identities.ended()].map((identity) =>
      fleetNode(identity, caches.nodes.get(identity.nodeName), fleet),
    ),
    assignments: caches.assignments.list(),
    nowMs: clock.nowMs(),
  };
}

/** A member counts as soon as the ledger has it, with or without its object; what the object says is added. */
export function fleetNode(
  identity: Identity,
  object: FabricNode | undefined,
  fleet: Pick<Fleet, "facts">,
): FleetNode {
  const node = object && belongs(object, identity) ? object : undefined;
  const facts = fleet.facts(identity.nodeId);
  return {
    nodeId: identity.nodeId,
    nodeName: identity.nodeName,
    fingerprint: identity.fingerprint,
    addresses: identity.addresses,
    state: stateOf(identity, node),
    revokedReason: identity.reason ?? "",
    certificateNotAfter: identity.certificateNotAfter,
    labels: node?.metadata.labels ?? {},
    declaredLocality: node?.spec.localityGroup,
    reported: facts.candidates ?? [],
    observed: facts.observed,
  };
}

function stateOf(identity: Identity, node: FabricNode | undefined): FleetNode["state"] {
  if (identity.status !== "Active") return "Revoked";
  return node?.spec.suspended === true ? "Suspended" : "Active";
}
