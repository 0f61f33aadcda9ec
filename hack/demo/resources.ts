/** The custom resources as the demo reads them: through kubectl, as a person would. */
import type { Cluster, FabricNode, JoinRequest } from "@saf/crds";

export interface Kubectl {
  (...args: string[]): Promise<string>;
}

export const CLUSTER_NAME = "home";

export function readCluster(kubectl: Kubectl): Promise<Cluster> {
  return readJson<Cluster>(kubectl, "cluster.fabric.saf.dev", CLUSTER_NAME);
}

export async function fabricNodes({ kubectl }: { readonly kubectl: Kubectl }): Promise<FabricNode[]> {
  return (await readJson<{ items: FabricNode[] }>(kubectl, "fabricnodes")).items;
}

export async function joinRequests({ kubectl }: { readonly kubectl: Kubectl }): Promise<JoinRequest[]> {
  return (await readJson<{ items: JoinRequest[] }>(kubectl, "joinrequests")).items;
}

async function readJson<T>(kubectl: Kubectl, ...what: string[]): Promise<T> {
  return JSON.parse(await kubectl("get", ...what, "--output=json")) as T;
}
