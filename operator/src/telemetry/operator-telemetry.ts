/** What the parts of the operator tell monitoring through. */
import type { LeaseTimings } from "../kube/elector.ts";
import { createDuty, type Duty } from "./duty.ts";
import { createOperatorMetrics, type OperatorMetrics } from "./operator-metrics.ts";

export interface OperatorTelemetry {
  readonly metrics: OperatorMetrics;
  readonly duty: Duty;
}

export function createOperatorTelemetry({ durationMs }: Pick<LeaseTimings, "durationMs">): OperatorTelemetry {
  return {
    metrics: createOperatorMetrics(),
    duty: createDuty({ elapsedMs: () => performance.now(), leaseMs: durationMs }),
  };
}
