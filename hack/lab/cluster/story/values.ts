/** What the story's release is installed with, and the Cluster that it serves. */
import { CLUSTER_NAME } from "../../../demo/resources.ts";
import { AUDIENCE, CONTROL_NODE_PORT, ENROLMENT_NODE_PORT, NAMESPACE } from "./cluster-stage.ts";

export const LEDGER_SECRET = "ledger";

export const releaseValues = {
  image: { pullPolicy: "Never" },
  database: { urlSecret: { name: LEDGER_SECRET } },
  operator: {
    replicas: 2,
    service: {
      type: "NodePort",
      enrolmentNodePort: ENROLMENT_NODE_PORT,
      controlNodePort: CONTROL_NODE_PORT,
      // Who asks is seen as who it is; so only the Node that the ruler is on answers.
      externalTrafficPolicy: "Local",
    },
  },
  // The pods' bridge, which is another's on every node.
  agent: { candidateInterfacesExclude: ["pods"] },
};

/** The ruler may be on any of the nodes. */
export function clusterObject(addresses: readonly string[]): object {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: CLUSTER_NAME, namespace: NAMESPACE },
    spec: {
      trustDomain: "home.example",
      reachability: "Mesh",
      addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a:f00d::/64" },
      endpoints: {
        enrolment: addresses.map((address) => `https://${address}:${ENROLMENT_NODE_PORT}`),
        control: addresses.map((address) => `${address}:${CONTROL_NODE_PORT}`),
      },
      enrolment: {
        serviceAccounts: [
          { name: "fabric-agent", namespace: NAMESPACE, audience: AUDIENCE, autoApprove: true },
        ],
      },
    },
  };
}
