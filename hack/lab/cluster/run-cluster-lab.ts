/** `npm run lab -- cluster`: builds the cluster, says how to look around, and takes it away at Ctrl-C. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { artifacts, repositoryRoot } from "../../bootstrap/artifacts.ts";
import { createCluster, type RealCluster } from "./cluster.ts";
import type { Machine } from "./machine.ts";
import { imageReference } from "../../images/image.ts";
import { IMAGES } from "../../images/root-file-system.ts";

const INTERRUPTED = 130;

export async function runClusterLab(_args: readonly string[]): Promise<number> {
  const bootstrap = ["hack/bootstrap/bootstrap.sh", "worker", "cluster-dns", "container-runtime", "images"];
  const { status } = spawnSync("sh", bootstrap, { cwd: repositoryRoot, stdio: "inherit" });
  if (status !== 0) return status ?? 1; // it has said why
  const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  void interrupted.then(() => process.once("SIGINT", () => process.exit(130)));

  const startedMs = performance.now();
  const cluster = await Promise.race([createCluster(), interrupted.then(() => undefined)]);
  if (cluster === undefined) return INTERRUPTED; // the lab's reaper takes away what stands
  const seconds = (performance.now() - startedMs) / 1000;
  process.stdout.write(lookAround(cluster, seconds));
  await interrupted;
  await cluster[Symbol.asyncDispose]();
  return 0;
}

function lookAround({ controlPlane, lab, nodes, offCluster }: RealCluster, seconds: number): string {
  const on = (machine: Machine): string => machine.command([]).join(" ");
  return `
  Three nodes are Ready after ${seconds.toFixed(0)} s; ${offCluster.name} is a host behind NAT outside the cluster. In another terminal:

      export KUBECONFIG=${controlPlane.kubeconfig}
      export PATH=${artifacts().containerRuntime}/bin:${artifacts().kubectl.replace(/\/kubectl$/, "")}:$PATH
      kubectl get nodes,pods --all-namespaces --output wide
      ${on(nodes[0]!)} ctr -n k8s.io containers ls
      ${on(offCluster)} ip address
      ls ${join(lab.directory, "logs")}

  Images on every node (imagePullPolicy IfNotPresent; there is no registry):
${IMAGES.map((image) => `      ${imageReference(image)}\n`).join("")}
  Ctrl-C takes everything away again.
`;
}
