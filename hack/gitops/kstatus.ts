/**
 * What Flux and `kustomize` make of an object's status: the generic rules of kstatus
 * (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md), in its order.
 */
export type Kstatus = "Terminating" | "InProgress" | "Failed" | "Current";

export interface StatusObject {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export function kstatusOf({ metadata, status }: StatusObject): Kstatus {
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation)
    return "InProgress";
  const verdict = (type: string): string | undefined =>
    status?.conditions?.find((condition) => condition.type === type)?.status;
  if (verdict("Reconciling") === "True") return "InProgress";
  if (verdict("Stalled") === "True") return "Failed";
  const ready = verdict("Ready");
  if (ready === "False" || ready === "Unknown") return "InProgress";
  // An object without any status is taken for Current too: so ours have an observedGeneration of -1 until they are seen.
  return "Current";
}
