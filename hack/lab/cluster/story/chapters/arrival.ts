/** A cluster comes up, Helm installs the fabric, its three nodes and a host outside become the fabric's nodes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts } from "../../../../bootstrap/artifacts.ts";
import { fabricNodes } from "../../../../demo/resources.ts";
import type { Step } from "../../../../demo/story.ts";
import { require, until } from "../../../../demo/wait.ts";
import { makeTarball } from "../../../../release/release.ts";
import { CONTROL, NODES, OFF_CLUSTER } from "../../topology.ts";
import {
  CLUSTER_NAME,
  ENROLMENT_NODE_PORT,
  FABRIC_NODES,
  NAMESPACE,
  type ClusterStage,
} from "../cluster-stage.ts";
import { startLedgerServer } from "../ledger-server.ts";
import { secondsSince } from "../measures.ts";
import { runUnit } from "../units.ts";
import { clusterObject, LEDGER_SECRET, releaseValues } from "../values.ts";

const ROLLOUT_MS = 120_000;
const READY_MS = 120_000;
const FABRIC = "/opt/fabric/bin/fabric";

export const arrival: readonly Step<ClusterStage>[] = [
  {
    title: "A Kubernetes cluster is up: three kubelets, and a host behind NAT",
    run: async (stage) => {
      await stage.raise();
      return stage.kubectl("get", "nodes", "--output=wide");
    },
  },
  {
    title: "PostgreSQL runs outside, and a Secret has its URL",
    run: async (stage) => {
      const url = await startLedgerServer(stage.cluster.lab, CONTROL);
      await stage.kubectl("create", "namespace", NAMESPACE);
      const secret = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: LEDGER_SECRET },
        stringData: { url },
      };
      return stage.apply(secret);
    },
  },
  {
    title: "helm install: two operators are Ready, and one rules the Cluster",
    run: async (stage) => {
      const startedMs = performance.now();
      await stage.release("install", releaseValues);
      await stage.wait("condition=Established", ["customresourcedefinition", "--all"], 20_000);
      const addresses = NODES.map((name) => stage.cluster.node(name).address);
      await stage.apply(clusterObject(addresses));
      await stage.wait("condition=Ready", [`cluster.fabric.saf.dev/${CLUSTER_NAME}`], ROLLOUT_MS);
      const ruled = secondsSince(startedMs);
      await stage.wait("condition=Available", ["deployment/fabric-operator"], ROLLOUT_MS);
      const { metadata, spec } = await stage.ruler();
      return `a Cluster ruled after ${ruled}, both Ready after ${secondsSince(startedMs)}\n${metadata.name} rules, on ${spec.nodeName}`;
    },
  },
  {
    title: "Three nodes of the DaemonSet enrol by their service accounts and are Ready",
    run: async (stage) => {
      const startedMs = performance.now();
      await until(
        "three FabricNodes",
        async () => (await fabricNodes(stage)).length === NODES.length || undefined,
        { timeoutMs: READY_MS, everyMs: 250 },
      );
      await stage.wait("condition=Ready", ["fabricnodes", "--all"], READY_MS);
      const ready = secondsSince(startedMs);
      await stage.wait(
        "condition=Ready",
        ["pods", "--selector=app.kubernetes.io/name=fabric-agent"],
        READY_MS,
      );
      const approvers = await stage.kubectl("get", "joinrequests");
      return `Ready after ${ready} more, their pods too\n${approvers}`;
    },
  },
  {
    title: "fabric install makes the host behind NAT a node, with a token and an approval",
    run: async (stage) => {
      const { offCluster, lab } = stage.cluster;
      const release = makeTarball(lab.directory);
      const startedMs = performance.now();
      await offCluster.run(["tar", "-C", "/opt", "-xzf", release]);
      const made = JSON.parse(
        await stage.fabric("-o", "json", "token", "create", "--uses", "1", "--expires", "1h"),
      ) as { token: string };
      const tokenFile = join(lab.directory, "token");
      writeFileSync(tokenFile, made.token, { mode: 0o600 });
      const rulersNode = stage.cluster.node((await stage.ruler()).spec.nodeName ?? "");
      const server = `https://${rulersNode.address}:${ENROLMENT_NODE_PORT}`;
      const asking = ["--server", server, "--token-file", tokenFile, "--names", "off"];
      await offCluster.run([FABRIC, "install", "--no-start", "--node-name", OFF_CLUSTER, ...asking]);
      for (const unit of ["fabric-engine", "fabric-agent"]) await runUnit(offCluster, unit);
      await until(
        "its JoinRequest can be approved",
        async () => {
          await stage.fabric("approve", OFF_CLUSTER);
          return true;
        },
        { timeoutMs: 30_000, everyMs: 250 },
      );
      await until("its FabricNode", async () => stage.fabricNode(OFF_CLUSTER), { timeoutMs: 20_000 });
      await stage.wait("condition=Ready", [`fabricnode/${OFF_CLUSTER}`], READY_MS);
      const took = secondsSince(startedMs);
      const { stdout } = await offCluster.run([FABRIC, "status"]);
      return `Ready ${took} after its tarball was there\n${stdout.split("\n").slice(0, 8).join("\n")}`;
    },
  },
  {
    title: "kubectl get fabricnodes: all four Ready",
    run: async (stage) => {
      const nodes = await fabricNodes(stage);
      const unready = nodes.filter(
        ({ status }) =>
          !status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
      );
      require(unready.length === 0, `not Ready: ${unready.map(({ metadata }) => metadata.name).join(" ")}`);
      const names = nodes.map(({ metadata }) => metadata.name).sort();
      require(names.join() === [...FABRIC_NODES].sort().join(), `the nodes are ${names.join(" ")}`);
      return `${await stage.kubectl("get", "fabricnodes")}\n${await stage.kubectl("get", "fabric")}`;
    },
  },
];

/** Said early, so that a tree without Helm fails before it builds a cluster. */
export function requireTools(): void {
  void [artifacts().helm, artifacts().images, artifacts().worker, artifacts().containerRuntime];
}
