/**
 * Where a node was last known to be, from its FabricNode. A new operator begins with this: before the node connects, its peers must not
 * be told that it has no address.
 */
import type { FabricNode } from "@saf/crds";
import { AddressError, parseEndpoint } from "@saf/protocol";
import type { NodeFacts } from "../../control/fleet.ts";

export function lastKnown({ status }: FabricNode): Pick<NodeFacts, "observed" | "candidates"> {
  // The schema knows the form of an address only, and somebody may have written nonsense of that form.
  const known = status?.candidates?.filter(({ endpoint }) => addressOf(endpoint) !== undefined);
  if (!known) return { observed: null, candidates: null };
  const own = known.filter(({ kind }) => kind !== "mapped").map(({ endpoint }) => endpoint);
  const mapped = known.find(({ kind }) => kind === "mapped")?.endpoint;
  const seen = own.find((endpoint) => addressOf(endpoint) === status?.natGroup);
  return { observed: mapped ?? seen ?? null, candidates: own };
}

function addressOf(endpoint: string): string | undefined {
  try {
    return parseEndpoint(endpoint).address;
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}
