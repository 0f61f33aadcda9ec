/** Agents of the DaemonSet, and what it means that all nodes are well. */
import { fabricNodes } from "../../../demo/resources.ts";
import { require, until } from "../../../demo/wait.ts";
import { FABRIC_NODES, type ClusterStage, type PodObject } from "./cluster-stage.ts";

/** Deletes the agent's pod of a node, as docs/install.md says, and resolves when its successor is there with that image and is Ready. */
export async function replaceAgent(stage: ClusterStage, node: string, image: string): Promise<void> {
  const old = await agentOn(stage, node);
  const chosen = ["--selector=app.kubernetes.io/name=fabric-agent", `--field-selector=spec.nodeName=${node}`];
  await stage.kubectlWithin(30_000, "delete", "pod", ...chosen);
  await nextAgent(stage, node, old, image);
}

export async function agentOn(stage: ClusterStage, node: string): Promise<PodObject | undefined> {
  return (await stage.pods("fabric-agent")).find(({ spec }) => spec.nodeName === node);
}

/** Resolves when another pod than `old` is Ready, with that image. */
export async function nextAgent(
  stage: ClusterStage,
  node: string,
  old: PodObject | undefined,
  image: string,
): Promise<void> {
  await until(
    `the next agent of ${node} is Ready`,
    async () => {
      const pod = await agentOn(stage, node);
      if (!pod || pod.metadata.uid === old?.metadata.uid) return undefined;
      require(pod.spec.containers.every(
        (container) => container.image === image,
      ), `its image is not ${image}`);
      return (
        pod.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") || undefined
      );
    },
    { timeoutMs: 60_000, everyMs: 250 },
  );
}

/** Every node is there and Ready. */
export async function allReady(stage: ClusterStage): Promise<void> {
  await stage.wait("condition=Ready", ["fabricnodes", "--all"], 60_000);
  const names = (await fabricNodes(stage)).map(({ metadata }) => metadata.name);
  require(names.length === FABRIC_NODES.length, `the nodes are ${names.join(" ")}`);
}
