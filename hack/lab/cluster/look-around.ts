/** What a person needs to look around in a cluster that is up. */
import { join } from "node:path";
import { artifacts } from "../../bootstrap/artifacts.ts";
import { imageReference } from "../../images/image.ts";
import { IMAGES } from "../../images/root-file-system.ts";
import type { RealCluster } from "./cluster.ts";
import type { Machine } from "./machine.ts";

export function lookAround({ controlPlane, lab, nodes, offCluster }: RealCluster): string {
  const on = (machine: Machine): string => machine.command([]).join(" ");
  return `
  ${offCluster.name} is a host behind NAT outside the cluster. In another terminal:

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
