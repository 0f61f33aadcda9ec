/** Makes the FabricNode of an identity. Afterwards its spec belongs to its owner: this is for one that is not there. */
import type { FabricNode } from "@saf/crds";
import type { KubeClient } from "../../kube/client.ts";
import { FINALIZER } from "../../kube/finalizers.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { FABRIC_NODES } from "../resources.ts";

export function applyNode(client: Pick<KubeClient, "apply">, identity: Identity): Promise<FabricNode> {
  const { nodeName, nodeId, fingerprint, area, status, reason } = identity;
  const revoked = status === "Revoked" ? { revoked: { reason: reason || "revoked" } } : {};
  return client.apply(FABRIC_NODES, {
    metadata: { name: nodeName, finalizers: [FINALIZER] },
    spec: { nodeId, fingerprint, ...(area === null ? {} : { area }), ...revoked } as FabricNode["spec"],
  });
}
