/**
 * The demo: a real API server, an operator and five nodes in network namespaces, told as a story whose every step is checked.
 *
 *   npm run demo              tells it, then stays up until Ctrl-C
 *   npm run demo -- --once    tells it and leaves; exit code 0 only if every step passed
 */
import { once } from "node:events";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { arrival } from "./chapters/arrival.ts";
import { failure } from "./chapters/failure.ts";
import { traffic } from "./chapters/traffic.ts";
import { footprint, leftovers } from "./leftovers.ts";
import { NAMESPACE, setStage, type Stage } from "./stage.ts";
import { closingLine, tell, tellStep, type Outcome, type Step, type Teller } from "./story.ts";
import { require } from "./wait.ts";

const { values: options } = parseArgs({ options: { once: { type: "boolean", default: false } } });
const teller: Teller = { now: () => performance.now(), write: (text) => void process.stdout.write(text) };
const story: readonly Step<Stage>[] = [...arrival, ...traffic, ...failure];

// Asked once, it takes everything down in order; asked twice, it goes at once and the lab's reaper does it.
const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
void interrupted.then(() => process.once("SIGINT", () => process.exit(130)));

const startedAt = performance.now();
const before = await footprint();
teller.write("\n  The Secure Access Fabric, end to end\n\n");
const stage = await setStage();
const outcome = await Promise.race([tell(story, stage, teller), interrupted.then(() => undefined)]);
if (outcome) {
  if (outcome.failed > 0)
    teller.write(`\n  The logs of all programs, as they ended:\n${await stage.lastWords()}\n`);
  if (!options.once && outcome.failed === 0) {
    teller.write(lookAround(stage));
    await interrupted;
  }
}
const directories = [stage.lab.directory, dirname(stage.controlPlane.kubeconfig)];
const gone = await tellStep(teardown(before, directories), stage, teller);
const total: Outcome = {
  passed: (outcome?.passed ?? 0) + (gone ? 1 : 0),
  failed: (outcome?.failed ?? 0) + (gone ? 0 : 1),
  skipped: outcome?.skipped ?? 0,
};
teller.write(
  `\n  ${((performance.now() - startedAt) / 1000).toFixed(0)} s in all\n${closingLine("demo", total)}\n`,
);
process.exit(total.failed === 0 ? 0 : 1);

function teardown(earlier: Awaited<ReturnType<typeof footprint>>, paths: readonly string[]): Step<Stage> {
  return {
    title: "Everything is torn down: no namespace, interface, process or file is left",
    run: async (standing) => {
      await standing[Symbol.asyncDispose]();
      const left = await leftovers(earlier, standing.lab.namespaceOf(""), paths);
      require(left.length === 0, left.join("\n"));
      return "";
    },
  };
}

function lookAround({ controlPlane, node }: Stage): string {
  return `
  It stays up now. In another terminal:

      export KUBECONFIG=${controlPlane.kubeconfig}
      kubectl -n ${NAMESPACE} get fabricnodes -o wide
      kubectl -n ${NAMESPACE} get joinrequests,jointokens,roleassignments
      kubectl -n ${NAMESPACE} get events
      kubectl explain fabricnode.spec
      npm run -s fabric -- --socket ${node("home-a").apiSocket} status
      npm run -s fabric -- --socket ${node("home-a").apiSocket} peers

  Ctrl-C takes everything away again.
`;
}
