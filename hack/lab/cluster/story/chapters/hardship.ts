/** What goes wrong in clusters: an image that is not there, an evicted pod, an API server that is away. Packets go on. */
import type { Step } from "../../../../demo/story.ts";
import { require, until } from "../../../../demo/wait.ts";
import { imageReference } from "../../../../images/image.ts";
import { OFF_CLUSTER } from "../../topology.ts";
import { agentOn, allReady, nextAgent } from "../agents.ts";
import { CHANGED, FABRIC_NODES, NAMESPACE, RELEASE, WATCHED, type ClusterStage } from "../cluster-stage.ts";
import { noneLost, secondsSince } from "../measures.ts";
import { releaseValues } from "../values.ts";

const ROLLOUT_MS = 120_000;

export const hardship: readonly Step<ClusterStage>[] = [
  {
    title: "An upgrade to an image that is not there: the operators of before go on",
    run: async (stage) => {
      const before = await stage.ruler();
      const values = { ...releaseValues, image: { ...releaseValues.image, tag: "missing" } };
      await stage.release("upgrade", values);
      const said = await until(
        "the new pod says what it lacks",
        async () => {
          const path = "--output=jsonpath={.items[*].status.containerStatuses[*].state.waiting.message}";
          const text = await stage.kubectl("get", "pods", path);
          return text.includes(imageReference("operator", "missing")) ? text : undefined;
        },
        { timeoutMs: 30_000, everyMs: 250 },
      );
      require((await stage.ruler()).metadata.uid === before.metadata.uid, "another operator rules");
      await stage.helm("rollback", RELEASE);
      await stage.kubectlWithin(ROLLOUT_MS, "rollout", "status", "deployment/fabric-operator");
      await allReady(stage);
      return said.slice(0, 160);
    },
  },
  {
    title: "An agent's pod is evicted: its successor is the same node",
    run: async (stage) => {
      const pings = await stage.watchPings(WATCHED);
      const identity = (await stage.fabricNode(CHANGED)).spec.nodeId;
      const pod = await agentOn(stage, CHANGED);
      const name = pod?.metadata.name ?? "";
      const eviction = {
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name, namespace: NAMESPACE },
      };
      const path = `/api/v1/namespaces/${NAMESPACE}/pods/${name}/eviction`;
      await stage.cluster.kubectlWith(JSON.stringify(eviction), "create", "--raw", path, "--filename", "-");
      const startedMs = performance.now();
      await nextAgent(stage, CHANGED, pod, imageReference("agent"));
      await allReady(stage);
      require((await stage.fabricNode(CHANGED)).spec.nodeId === identity, `${CHANGED} became another node`);
      const received = await noneLost(pings);
      return `Ready after ${secondsSince(startedMs)}; ${received} pings of others, 0 lost`;
    },
  },
  {
    title: "The API server is killed: nodes go on, degraded, and are Ready when it is back",
    run: async (stage) => {
      const { controlPlane, offCluster } = stage.cluster;
      const pings = await stage.watchPings([...WATCHED, [CHANGED, "node-1"]]);
      const term = (await stage.fabricCluster()).status?.authority?.term ?? 0;
      await controlPlane.pause();
      const pausedMs = performance.now();
      await until(
        `${OFF_CLUSTER} says degraded`,
        async () => {
          const { stdout } = await offCluster.run(["/opt/fabric/bin/fabric", "status", "-o", "json"]);
          return (JSON.parse(stdout) as { state: string }).state === "degraded" || undefined;
        },
        { timeoutMs: 60_000, everyMs: 500 },
      );
      const degradedAfter = secondsSince(pausedMs);
      await controlPlane.resume();
      const resumedMs = performance.now();
      let ruledAfter = "";
      await until(
        "an operator rules, and every node is in session",
        async () => {
          const { status } = await stage.fabricCluster();
          if ((status?.authority?.term ?? 0) <= term) return undefined;
          ruledAfter ||= secondsSince(resumedMs);
          return status?.nodes?.connected === FABRIC_NODES.length || undefined;
        },
        { timeoutMs: 90_000, everyMs: 250 },
      );
      const connectedAfter = secondsSince(resumedMs);
      await allReady(stage);
      const readyAfter = secondsSince(resumedMs);
      const received = await noneLost(pings);
      return [
        `degraded after ${degradedAfter}; ${received} pings, 0 lost`,
        `after it was back: ruled ${ruledAfter}, in session ${connectedAfter}, all Ready ${readyAfter}`,
      ].join("\n");
    },
  },
];
