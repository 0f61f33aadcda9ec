/** Conditions as deciders state them, and as status carries them (Kubernetes API conventions, "Typical status properties"). */
import type { Condition } from "@saf/crds";

export type Verdict = "True" | "False" | "Unknown";

/** What a decider says; when it began is found by comparing with what was said before. */
export interface Finding {
  readonly type: string;
  readonly status: Verdict;
  /** CamelCase, stable. */
  readonly reason: string;
  readonly message: string;
}

export function finding(type: string, status: Verdict, reason: string, message: string): Finding {
  return { type, status, reason, message };
}

export interface ConditionContext {
  readonly previous: readonly Condition[] | undefined;
  readonly generation: number | undefined;
  readonly nowMs: number;
}

/** lastTransitionTime moves only when the status does. */
export function conditionsFrom(findings: readonly Finding[], context: ConditionContext): Condition[] {
  return findings.map(({ type, status, reason, message }) => {
    const before = context.previous?.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : rfc3339(context.nowMs);
    const observed = context.generation === undefined ? {} : { observedGeneration: context.generation };
    return { type, status, reason, message, lastTransitionTime, ...observed };
  });
}

export function conditionOf(
  object: { readonly status?: { readonly conditions?: readonly Condition[] | undefined } | undefined },
  type: string,
): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

/** metav1.Time: whole seconds. */
export function rfc3339(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d{3}Z$/, "Z");
}
