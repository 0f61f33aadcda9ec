/** Every measure, in the order in which a round makes them. */
import type { Measure } from "./measure.ts";
import { gaps } from "./measures/gaps.ts";
import { latency } from "./measures/latency.ts";
import { losses } from "./measures/lossy.ts";
import { transfers } from "./measures/transfers.ts";

export const allMeasures: readonly Measure[] = [...transfers, ...latency, ...losses, ...gaps];
