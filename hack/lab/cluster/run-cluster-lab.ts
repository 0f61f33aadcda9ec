/**
 * `npm run lab -- cluster`: builds the cluster, says how to look around, and takes it away at Ctrl-C.
 * `npm run lab -- cluster --once`: tells the fabric's story on it and leaves; with `--keep` it stays up at a step that does not hold.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { repositoryRoot } from "../../bootstrap/artifacts.ts";
import { buildLazily } from "../../bootstrap/lazy-tools.ts";
import { createCluster } from "./cluster.ts";
import { lookAround } from "./look-around.ts";
import { tellClusterStory } from "./story/tell-cluster-story.ts";

const INTERRUPTED = 130;

export async function runClusterLab(args: readonly string[]): Promise<number> {
  const { values: options } = parseArgs({
    args: [...args],
    options: { once: { type: "boolean", default: false }, keep: { type: "boolean", default: false } },
  });
  const tools = ["worker", "cluster-dns", "container-runtime", "images"];
  const bootstrap = ["hack/bootstrap/bootstrap.sh", ...tools];
  const { status } = spawnSync("sh", bootstrap, { cwd: repositoryRoot, stdio: "inherit" });
  if (status !== 0) return status ?? 1; // it has said why
  if (options.once) {
    buildLazily("helm");
    return tellClusterStory({ keep: options.keep });
  }
  const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  void interrupted.then(() => process.once("SIGINT", () => process.exit(130)));

  const startedMs = performance.now();
  const cluster = await Promise.race([createCluster(), interrupted.then(() => undefined)]);
  if (cluster === undefined) return INTERRUPTED; // the lab's reaper takes away what stands
  const seconds = (performance.now() - startedMs) / 1000;
  process.stdout.write(`\n  Three nodes are Ready after ${seconds.toFixed(0)} s.\n${lookAround(cluster)}`);
  await interrupted;
  await cluster[Symbol.asyncDispose]();
  return 0;
}
