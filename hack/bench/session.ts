/**
 * Runs the measures. On each ground all contenders are up at once, idle but for the one that is measured, so that every measure
 * visits all of them within seconds: the machine's own drift touches all alike. Rejects with the signal's reason when it is stopped.
 */
import type { Contender, Tunnel } from "./contender.ts";
import type { FabricPair } from "./contenders/fabric.ts";
import type { Effort, Ground, Measure } from "./measure.ts";
import { layGround } from "./ground.ts";
import { largestResidentBytes } from "./process-usage.ts";
import type { Failure, Sample } from "./result.ts";
import type { Testbed } from "./testbed.ts";

export interface SessionPlan {
  readonly contenders: readonly Contender[];
  readonly measures: readonly Measure[];
  readonly rounds: number;
  /** What is measured in the first round only. */
  readonly once: (measure: Measure, contender: Contender) => boolean;
  readonly effort: Effort;
}

export interface SessionLog {
  sample(sample: Sample): void;
  failure(failure: Failure): void;
}

const GROUNDS: readonly Ground[] = ["near", "far", "alone", "two-near", "two-far"];

export async function runSession(
  bed: Testbed,
  fabric: FabricPair | undefined,
  plan: SessionPlan,
  log: SessionLog,
  stopped: AbortSignal,
): Promise<void> {
  for (const ground of GROUNDS) {
    const measures = plan.measures.filter((measure) => measure.ground === ground);
    const contenders = plan.contenders.filter((one) => measures.some((measure) => measure.applies(one)));
    if (contenders.length === 0) continue;
    await layGround(bed.wires, ground);
    const standing = await bringUp(bed, contenders, log);
    for (let round = 1; round <= plan.rounds; round += 1) {
      for (const measure of measures) {
        // Each round begins with another one: whoever comes first or last is not always the same.
        for (const { contender, tunnel } of rotate(standing, round - 1)) {
          if (!measure.applies(contender) || (round > 1 && plan.once(measure, contender))) continue;
          stopped.throwIfAborted();
          const where = { contender: contender.name, measure: measure.name, round };
          try {
            await tunnel.ready();
            const figures = await measure.run({ bed, contender, tunnel, fabric, effort: plan.effort });
            log.sample({ ...where, figures });
          } catch (error) {
            log.failure({ ...where, reason: (error as Error).message });
          }
        }
      }
    }
    if (ground === "near") weigh(standing, log);
    for (const { tunnel } of standing) await tunnel.stop();
  }
}

interface Standing {
  readonly contender: Contender;
  readonly tunnel: Tunnel;
}

/** Those that do not come up are failures, and the others go on without them. */
async function bringUp(bed: Testbed, contenders: readonly Contender[], log: SessionLog): Promise<Standing[]> {
  const standing: Standing[] = [];
  for (const contender of contenders) {
    try {
      standing.push({ contender, tunnel: await contender.start(bed) });
    } catch (error) {
      log.failure({
        contender: contender.name,
        measure: "start",
        round: 0,
        reason: (error as Error).message,
      });
    }
  }
  return standing;
}

/** Memory after all those transfers. */
function weigh(standing: readonly Standing[], log: SessionLog): void {
  const weighed = new Set<number>();
  for (const { contender, tunnel } of standing) {
    const pids = tunnel.pids();
    if (pids.every((pid) => weighed.has(pid))) continue; // none, or those of a contender before it
    for (const pid of pids) weighed.add(pid);
    const megabytes = (of: readonly number[]): number => largestResidentBytes(of) / 1e6;
    const agents = tunnel.agentPids();
    log.sample({
      contender: contender.name,
      measure: "memory",
      round: 1,
      figures: {
        residentMb: megabytes(pids),
        ...(agents.length > 0 ? { agentResidentMb: megabytes(agents) } : {}),
      },
    });
  }
}

function rotate<T>(all: readonly T[], by: number): T[] {
  const at = all.length === 0 ? 0 : by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}
