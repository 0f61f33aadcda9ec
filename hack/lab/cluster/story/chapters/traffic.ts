/** Packets cross between all pairs, and from a pod to the host behind NAT. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { follow } from "../../../../demo/command.ts";
import type { Step } from "../../../../demo/story.ts";
import { transferReport } from "../../../../demo/transfer-report.ts";
import { require } from "../../../../demo/wait.ts";
import { imageReference } from "../../../../images/image.ts";
import { OFF_CLUSTER } from "../../topology.ts";
import { FABRIC_NODES, type ClusterStage } from "../cluster-stage.ts";

const TRANSFER = join(import.meta.dirname, "../../../../demo/transfer.ts");
const PORT = 5202;
const BYTES = 20_000_000;
const POD_NODE = "node-1";

export const traffic: readonly Step<ClusterStage>[] = [
  {
    title: "Every pair pings by overlay address, IPv6 and IPv4",
    run: async (stage) => {
      const pairs = FABRIC_NODES.flatMap((from) =>
        FABRIC_NODES.filter((to) => to !== from).map((to) => [from, to] as const),
      );
      for (const [from, to] of pairs) {
        const { ipv4, ipv6 } = await stage.overlayOf(to);
        for (const address of [ipv6, ipv4])
          await stage.cluster.lab.host(from).exec(["ping", "-n", "-c", "1", "-i", "0.1", "-w", "5", address]);
      }
      return `${pairs.length} pairs, both families`;
    },
  },
  {
    title: "A pod that knows nothing of the fabric sends 20 MB to the host behind NAT",
    run: async (stage) => {
      const { ipv4 } = await stage.overlayOf(OFF_CLUSTER);
      const receiver = follow(
        `receiver on ${OFF_CLUSTER}`,
        stage.cluster.lab
          .host(OFF_CLUSTER)
          .spawn([process.execPath, TRANSFER, "receive", ipv4, String(PORT)], {
            stdio: ["ignore", "pipe", "pipe"],
          }),
      );
      await receiver.says("listening", 10_000);
      await stage.apply(visitor(["transfer", "send", ipv4, String(PORT), String(BYTES)]));
      await stage.wait("jsonpath={.status.phase}=Succeeded", ["pod/visitor"], 60_000);
      const sent = transferReport(await stage.kubectl("logs", "visitor"));
      const received = transferReport(await receiver.ended(10_000));
      require(received.bytes === BYTES && received.sha256 === sent.sha256, "the checksums differ");
      const address = await stage.kubectl("get", "pod", "visitor", "--output=jsonpath={.status.podIP}");
      await stage.kubectl("delete", "pod", "visitor", "--now");
      return `from ${address} on ${POD_NODE} to ${ipv4}, sha256 ${received.sha256.slice(0, 16)}… at both ends`;
    },
  },
];

/** An ordinary pod; Node is what the image brings. */
function visitor(args: readonly string[]): object {
  const program = ["node", "--input-type=module-typescript", "--eval", readFileSync(TRANSFER, "utf8")];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "visitor" },
    spec: {
      nodeName: POD_NODE,
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      containers: [
        {
          name: "visitor",
          image: imageReference("agent"),
          imagePullPolicy: "Never",
          command: program,
          args: ["--", ...args],
        },
      ],
    },
  };
}
