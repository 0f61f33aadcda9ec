/** What a fabric lives through: an upgrade, a killed operator, a node that leaves and comes back, a rollback. Nobody else's packets notice. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { FabricNode } from "@saf/crds";
import { artifacts } from "../../../../bootstrap/artifacts.ts";
import { follow, type RunningCommand } from "../../../../demo/command.ts";
import type { Step } from "../../../../demo/story.ts";
import { transferReport, type TransferReport } from "../../../../demo/transfer-report.ts";
import { require, until } from "../../../../demo/wait.ts";
import { imageReference } from "../../../../images/image.ts";
import { IMAGES } from "../../../../images/root-file-system.ts";
import { CONTROL, NODES, OFF_CLUSTER } from "../../topology.ts";
import { allReady, replaceAgent } from "../agents.ts";
import {
  CHANGED,
  FABRIC_NODES,
  RELEASE,
  WATCHED,
  type ClusterStage,
  type PodObject,
} from "../cluster-stage.ts";
import { readMetrics, sumOf } from "../metrics.ts";
import { noneLost, secondsSince } from "../measures.ts";
import { releaseValues } from "../values.ts";

const TRANSFER = join(import.meta.dirname, "../../../../demo/transfer.ts");
const TRANSFER_PORT = 5203;
const TRANSFER_BYTES = 300_000_000;
const TRANSFER_SECONDS = 20;
const ROLLOUT_MS = 120_000;
/** The images again, under the tag that the upgrade asks for. */
const NEXT_TAG = "next";
const NEW_LEADER_MS = 15_000;
/** Of the API requests of an operator that has nothing to do. */
const REST_SECONDS = 20;

export const change: readonly Step<ClusterStage>[] = [
  {
    title: "helm upgrade and a new agent on node-3: a transfer of others loses nothing",
    run: async (stage) => {
      await tagImages(stage);
      const before = await stage.pods("fabric-agent");
      const identity = (await stage.fabricNode(CHANGED)).spec.nodeId;
      const pings = await stage.watchPings(WATCHED);
      const transfer = await startTransfer(stage);
      const startedMs = performance.now();

      await stage.release("upgrade", { ...releaseValues, image: { ...releaseValues.image, tag: NEXT_TAG } });
      await stage.kubectlWithin(ROLLOUT_MS, "rollout", "status", "deployment/fabric-operator");
      const operatorsAfter = secondsSince(startedMs);
      const agents = await stage.pods("fabric-agent");
      require(agents.map(uid).join() ===
        before.map(uid).join(), "an agent's pod was replaced by the upgrade itself");
      await replaceAgent(stage, CHANGED, imageReference("agent", NEXT_TAG));
      const took = secondsSince(startedMs);
      require((await stage.fabricNode(CHANGED)).spec.nodeId === identity, `${CHANGED} became another node`);

      const { bytes, seconds } = await transfer.ended();
      const received = await noneLost(pings);
      return [
        `operators replaced after ${operatorsAfter}, ${CHANGED} after ${took}`,
        `${Math.round(bytes / 1e6)} MB in ${seconds.toFixed(1)} s from node-1 to ${OFF_CLUSTER}, same checksum; ${received} pings, 0 lost`,
      ].join("\n");
    },
  },
  {
    title: "The operator that rules is killed with -9: a new leader, and no packet lost",
    run: async (stage) => {
      const pings = await stage.watchPings([...WATCHED, [CHANGED, "node-1"]]);
      const term = (await stage.fabricCluster()).status?.authority?.term ?? 0;
      const ruler = await stage.ruler();
      await killPod(stage, ruler);
      const killedMs = performance.now();
      const successor = await until(
        "a higher term",
        async () => {
          const { status } = await stage.fabricCluster();
          return (status?.authority?.term ?? 0) > term ? await stage.ruler() : undefined;
        },
        { timeoutMs: NEW_LEADER_MS, everyMs: 100 },
      );
      const ledAfter = secondsSince(killedMs);
      await until(
        "every node is back in session with it",
        async () => {
          const { status } = await stage.fabricCluster();
          return (
            ((status?.authority?.term ?? 0) > term && status?.nodes?.connected === FABRIC_NODES.length) ||
            undefined
          );
        },
        { timeoutMs: 90_000, everyMs: 200 },
      );
      const connectedAfter = secondsSince(killedMs);
      await allReady(stage);
      const received = await noneLost(pings);
      return [
        `${successor.metadata.name} rules ${ledAfter} after the kill (${uid(successor) === uid(ruler) ? "the same pod" : "the other pod"})`,
        `all four in session again after ${connectedAfter}; ${received} pings, 0 lost`,
      ].join("\n");
    },
  },
  {
    title: "kubectl delete fabricnode: node-3 is drained and revoked, its address free",
    run: async (stage) => {
      const pings = await stage.watchPings(WATCHED);
      const gone = await stage.fabricNode(CHANGED);
      stage.notes.set("freed", gone);
      const startedMs = performance.now();
      await stage.kubectlWithin(30_000, "delete", "fabricnode", CHANGED);
      const took = secondsSince(startedMs);
      const reasons = await stage.kubectl(
        "get",
        "events",
        `--field-selector=involvedObject.name=${CHANGED}`,
        "--output=jsonpath={.items[*].reason}",
      );
      require(reasons.split(" ").includes("Left"), `its Events say ${reasons}`);
      await expectSilence(stage, gone);
      const received = await noneLost(pings);
      return `gone after ${took}; Events: ${reasons}; it reaches nobody; ${received} pings of others, 0 lost`;
    },
  },
  {
    title: "Its next pod enrols anew, as another identity, with the address that was freed",
    run: async (stage) => {
      const startedMs = performance.now();
      await replaceAgent(stage, CHANGED, imageReference("agent", NEXT_TAG));
      await until("its FabricNode", () => stage.fabricNode(CHANGED), { timeoutMs: 60_000, everyMs: 250 });
      await allReady(stage);
      const { status, spec } = await stage.fabricNode(CHANGED);
      const freed = stage.notes.get("freed")!;
      require(spec.nodeId !== freed.spec.nodeId, "it is the identity that was revoked");
      const address = status?.addresses?.ipv4;
      require(address === freed.status?.addresses?.ipv4, `it has ${address}, not the address that was freed`);
      return `${spec.nodeId} with ${address} is Ready after ${secondsSince(startedMs)}`;
    },
  },
  {
    title: "helm test passes",
    run: async (stage) =>
      (await stage.helm("test", RELEASE, "--logs")).match(/^(ok|FAIL) .*$/gm)?.join("\n") ?? "",
  },
  {
    title: "helm rollback: back to the first revision, and nobody else notices",
    run: async (stage) => {
      const pings = await stage.watchPings(WATCHED);
      const cluster = (await stage.fabricCluster()).metadata.uid;
      const startedMs = performance.now();
      await stage.helm("rollback", RELEASE, "1");
      await stage.kubectlWithin(ROLLOUT_MS, "rollout", "status", "deployment/fabric-operator");
      await replaceAgent(stage, CHANGED, imageReference("agent"));
      await allReady(stage);
      const took = secondsSince(startedMs);
      const images = (await stage.pods("fabric-operator")).flatMap(({ spec }) => spec.containers);
      require(images.every(
        ({ image }) => image === imageReference("operator"),
      ), "an operator has another image");
      require((await stage.fabricCluster()).metadata.uid === cluster, "the Cluster is another one");
      const received = await noneLost(pings);
      return `after ${took}; ${received} pings, 0 lost`;
    },
  },
  {
    title: "At rest: memory, and what the operators ask of the API server",
    run: async (stage) => {
      const host = stage.cluster.lab.host(CONTROL);
      const operators = await stage.pods("fabric-operator");
      const look = () =>
        Promise.all(operators.map(({ status }) => readMetrics(host, `${status.podIP}:8080`)));
      const [first, startedMs] = [await look(), performance.now()];
      await new Promise((resolve) => setTimeout(resolve, REST_SECONDS * 1000)); // what is measured is this time
      const [last, seconds] = [await look(), (performance.now() - startedMs) / 1000];
      const rate = (verbs: RegExp): string => {
        const sum = (looks: typeof first): number =>
          looks.reduce(
            (total, samples) => total + sumOf(samples, "fabric_operator_api_requests_total", verbs),
            0,
          );
        return ((sum(last) - sum(first)) / seconds).toFixed(2);
      };
      const agents = await Promise.all(
        NODES.map((name) => readMetrics(host, `${stage.cluster.node(name).address}:9743`)),
      );
      const memory = (looks: typeof first): string =>
        looks
          .map((samples) => `${Math.round(sumOf(samples, "process_resident_memory_bytes") / 1e6)} MB`)
          .join(", ");
      const sizes = IMAGES.map(
        (image) => `${image} ${Math.round(statSync(join(artifacts().images, `${image}.tar`)).size / 1e6)} MB`,
      );
      const writes = /verb="(create|update|patch|delete)"/;
      return [
        `API writes a second: ${rate(writes)}, of them Leases ${rate(/verb="update",resource="leases"/)}; reads ${rate(/verb="(get|list)"/)} (two operators, four nodes)`,
        `resident: operators ${memory(last)}; agents ${memory(agents)}`,
        `images: ${sizes.join(", ")}`,
      ].join("\n");
    },
  },
];

const uid = (pod: PodObject): string => pod.metadata.uid;

async function tagImages(stage: ClusterStage): Promise<void> {
  const tag = ["ctr", "--namespace", "k8s.io", "images", "tag", "--force"];
  for (const node of stage.cluster.nodes)
    for (const image of IMAGES)
      await node.run([...tag, imageReference(image), imageReference(image, NEXT_TAG)]);
}

/** kill -9 for every process of the pod's containers, on its node. */
async function killPod(stage: ClusterStage, { spec, status }: PodObject): Promise<void> {
  const node = stage.cluster.node(spec.nodeName ?? "");
  const ids = (status.containerStatuses ?? []).map(({ containerID = "" }) =>
    containerID.replace(/^.*:\/\//, ""),
  );
  const { stdout } = await node.run(["ctr", "--namespace", "k8s.io", "tasks", "ls"]);
  const pids = stdout.split("\n").flatMap((line) => {
    const [id = "", pid = ""] = line.split(/\s+/);
    return ids.includes(id) ? [pid] : [];
  });
  require(pids.length === 2, `the pod has ${pids.length} running containers`);
  await node.run(["sh", "-c", 'kill -9 "$@"', "sh", ...pids]);
}

/** Nobody answers it any more, and nobody reaches it. */
async function expectSilence(stage: ClusterStage, { metadata, status }: FabricNode): Promise<void> {
  const { ipv6 = "" } = status?.addresses ?? {};
  const other = (await stage.overlayOf("node-1")).ipv6;
  const answers = async (from: string, address: string): Promise<boolean> => {
    const script = 'ping -n -c 3 -i 0.2 -W 1 "$0" 2>&1 | grep -c "bytes from" || true';
    return Number((await stage.cluster.lab.host(from).exec(["sh", "-c", script, address])).stdout) > 0;
  };
  require(!(await answers(metadata.name, other)), "it still reaches node-1");
  require(!(await answers("node-1", ipv6)), "node-1 still reaches it");
}

/** One TCP transfer from node-1 to the host behind NAT, at a steady pace. */
async function startTransfer(stage: ClusterStage): Promise<{ ended(): Promise<TransferReport> }> {
  const { ipv6 } = await stage.overlayOf(OFF_CLUSTER);
  const start = (on: string, ...args: string[]): RunningCommand =>
    follow(
      `transfer on ${on}`,
      stage.cluster.lab
        .host(on)
        .spawn([process.execPath, TRANSFER, ...args], { stdio: ["ignore", "pipe", "pipe"] }),
    );
  const receiver = start(OFF_CLUSTER, "receive", ipv6, String(TRANSFER_PORT));
  await receiver.says("listening", 10_000);
  const size = [String(TRANSFER_BYTES), String(TRANSFER_SECONDS)];
  const sender = start("node-1", "send", ipv6, String(TRANSFER_PORT), ...size);
  return {
    ended: async () => {
      const [received, sent] = (await Promise.all([receiver.ended(120_000), sender.ended(120_000)])).map(
        transferReport,
      );
      require(received?.sha256 === sent?.sha256 &&
        received?.bytes === TRANSFER_BYTES, "the checksums differ");
      require(received.seconds >= 10, `it took ${received.seconds} s only`);
      return received;
    },
  };
}
