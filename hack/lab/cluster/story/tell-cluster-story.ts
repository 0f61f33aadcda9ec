/** `npm run lab -- cluster --once`: the fabric on a real cluster, from `helm install` to nothing left, every step verified. */
import { once } from "node:events";
import { dirname } from "node:path";
import { footprint, leftovers, type Footprint } from "../../../demo/leftovers.ts";
import { closingLine, tell, tellStep, type Outcome, type Step, type Teller } from "../../../demo/story.ts";
import { require } from "../../../demo/wait.ts";
import { lookAround } from "../look-around.ts";
import { arrival, requireTools } from "./chapters/arrival.ts";
import { change } from "./chapters/change.ts";
import { hardship } from "./chapters/hardship.ts";
import { departure } from "./chapters/departure.ts";
import { traffic } from "./chapters/traffic.ts";
import { createClusterStage, type ClusterStage } from "./cluster-stage.ts";

const story: readonly Step<ClusterStage>[] = [...arrival, ...traffic, ...change, ...hardship, ...departure];

export interface TellOptions {
  /** At a step that does not hold, stay up until Ctrl-C. */
  readonly keep: boolean;
}

/** Resolves to the exit code: 0 only if every step passed. */
export async function tellClusterStory({ keep }: TellOptions): Promise<number> {
  requireTools();
  const teller: Teller = { now: () => performance.now(), write: (text) => void process.stdout.write(text) };
  const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  void interrupted.then(() => process.once("SIGINT", () => process.exit(130)));

  const startedAt = performance.now();
  const before = await footprint();
  teller.write("\n  The Secure Access Fabric on Kubernetes\n\n");
  const stage = createClusterStage();
  const outcome = await Promise.race([tell(story, stage, teller), interrupted.then(() => undefined)]);
  if (outcome && outcome.failed > 0) {
    teller.write(`\n  The logs of all programs, as they ended:\n${await stage.lastWords()}\n`);
    if (keep && stage.isUp) {
      teller.write(lookAround(stage.cluster));
      await interrupted;
    }
  }
  const gone = await tellStep(teardown(before), stage, teller);
  const total: Outcome = {
    passed: (outcome?.passed ?? 0) + (gone ? 1 : 0),
    failed: (outcome?.failed ?? 1) + (gone ? 0 : 1),
    skipped: outcome?.skipped ?? 0,
  };
  const took = ((performance.now() - startedAt) / 1000).toFixed(0);
  teller.write(`\n  ${took} s in all\n${closingLine("lab", total)}\n`);
  return total.failed === 0 ? 0 : 1;
}

function teardown(before: Footprint): Step<ClusterStage> {
  return {
    title: "Everything is torn down: no namespace, interface, process or file is left",
    run: async (stage) => {
      if (!stage.isUp) {
        await stage[Symbol.asyncDispose]();
        return "";
      }
      const { lab, controlPlane } = stage.cluster;
      const directories = [lab.directory, dirname(controlPlane.kubeconfig)];
      await stage[Symbol.asyncDispose]();
      const left = await leftovers(before, lab.namespaceOf(""), directories);
      require(left.length === 0, left.join("\n"));
      return "";
    },
  };
}
