/** The reason of the Ready condition: the one word that sums up an object. */
import type { Condition } from "@saf/crds";

export function readyReason(
  status: { conditions?: Condition[] | undefined } | undefined,
): string | undefined {
  return status?.conditions?.find((condition) => condition.type === "Ready")?.reason;
}
