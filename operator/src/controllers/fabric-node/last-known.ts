/**
 * Where a node was last known to be, from its FabricNode. A new operator begins with this: before the node connects, its peers must not
 * be told that it has no address.
 */
import type { FabricNode } from "@saf/crds";
import { parseEndpoint } from "@saf/protocol";
import type { NodeFacts } from "../../control/fleet.ts";

export function lastKnown({ status }: FabricNode): Pick<NodeFacts, "observed" | "candidates"> {
  const known = status?.candidates;
  if (!known) return { observed: null, candidates: null };
  const own = known.filter(({ kind }) => kind !== "mapped").map(({ endpoint }) => endpoint);
  const mapped = known.find(({ kind }) => kind === "mapped")?.endpoint;
  const seen = own.find((endpoint) => parseEndpoint(endpoint).address === status?.natGroup);
  return { observed: mapped ?? seen ?? null, candidates: own };
}
