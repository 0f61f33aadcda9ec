/** Packets cross, bytes arrive whole, a change of role is there at once. */
import { fabricNodes } from "../resources.ts";
import { FABRIC_NODES, type Stage } from "../stage.ts";
import type { Step } from "../story.ts";
import { transferReport, type TransferReport } from "../transfer-report.ts";
import { require, until } from "../wait.ts";

const TRANSFER_BYTES = 200 * 1000 * 1000;
const TRANSFER_PORT = 5201;
const ROLE_CHANGE_MS = 1_000;

export const traffic: readonly Step<Stage>[] = [
  {
    title: "Every pair pings by overlay address, IPv6 and IPv4",
    run: async (stage) => {
      const pairs = FABRIC_NODES.flatMap((from) =>
        FABRIC_NODES.filter((to) => to !== from).map((to) => ({ from, to })),
      );
      for (const { from, to } of pairs) {
        for (const address of Object.values(await stage.overlayOf(to)))
          await stage.node(from).ping(address, 5_000);
      }
      return `${pairs.length} pairs, both families`;
    },
  },
  {
    title: "home-a reaches home-b directly, over their private network",
    run: async (stage) => {
      const peer = (await stage.node("home-a").peers()).find(({ name }) => name === "home-b");
      const wanted = stage.node("home-b").address;
      require(peer?.remote?.startsWith(`${wanted}:`) ===
        true, `the session's path is ${peer?.remote}, not ${wanted}`);
      return `session with ${peer.remote}`;
    },
  },
  {
    title: "200 MB over TCP from home-a to usa-1 arrive whole",
    run: async (stage) => {
      const { ipv6 } = await stage.overlayOf("usa-1");
      const [received, sent] = await transfer(stage, ipv6);
      require(received.bytes === TRANSFER_BYTES && received.sha256 === sent.sha256, "the checksums differ");
      return `${Math.round((received.bytes * 8) / received.seconds / 1e6)} Mbit/s, sha256 ${received.sha256.slice(0, 16)}… at both ends`;
    },
  },
  {
    title: "A sixth role reaches its node within a second",
    run: async (stage) => {
      const role = "observer";
      const manifest = {
        apiVersion: "fabric.saf.dev/v1alpha1",
        kind: "RoleAssignment",
        metadata: { name: "test-1-observer" },
        spec: { role, nodeName: "test-1" },
      };
      await stage.kubectlWith(JSON.stringify(manifest), "apply", "--filename", "-");
      const appliedAt = performance.now();
      await until(
        "test-1 holds the role",
        async () => {
          const { roles } = await stage.node("test-1").status();
          return roles.includes(role) ? true : undefined;
        },
        { timeoutMs: ROLE_CHANGE_MS, everyMs: 5 },
      );
      const tookMs = Math.round(performance.now() - appliedAt);
      await until(
        "FabricNode test-1 says so",
        async () => {
          const node = (await fabricNodes(stage)).find(({ metadata }) => metadata.name === "test-1");
          return node?.status?.roles?.includes(role) ? true : undefined;
        },
        { timeoutMs: 5_000 },
      );
      return `${tookMs} ms after kubectl returned`;
    },
  },
  {
    title: "On the wire between the hosts: the fabric's UDP and enrolment's HTTPS, nothing else",
    run: async (stage) => {
      const { fabric, other } = await stage.wire.stop();
      require(fabric > 0, "the capture saw nothing");
      require(other.length === 0, `other packets:\n${other.slice(0, 5).join("\n")}`);
      return `${fabric} packets of the fabric, 0 others (ARP and neighbour discovery aside)`;
    },
  },
];

async function transfer(stage: Stage, address: string): Promise<[TransferReport, TransferReport]> {
  const receiver = stage.node("usa-1").start("transfer", "receive", address, String(TRANSFER_PORT));
  await receiver.says("listening", 5_000);
  const sender = stage
    .node("home-a")
    .start("transfer", "send", address, String(TRANSFER_PORT), String(TRANSFER_BYTES));
  const [received, sent] = await Promise.all([receiver.ended(120_000), sender.ended(120_000)]);
  return [transferReport(received), transferReport(sent)];
}
