/** Things are killed; what should go on goes on, and what should come back comes back. */
import { fabricNodes, joinRequests } from "../resources.ts";
import { FABRIC_NODES, type Stage } from "../stage.ts";
import type { Step } from "../story.ts";
import { require, until } from "../wait.ts";

const ENGINE_BACK_MS = 2_000;
const REFUSED_WITHIN_MS = 2_000;
const REVOKED = "ifcm-1";
const REVOCATION = "sold on the second-hand market";

export const failure: readonly Step<Stage>[] = [
  {
    title: "An agent is killed with -9 and starts again: no ping lost",
    run: async (stage) => {
      const through = await stage.watchPings([
        ["home-a", "usa-1"],
        ["usa-1", "home-a"],
        ["test-1", "home-a"],
      ]);
      const before = await stage.node("home-a").status();
      await stage.node("home-a").killAgent();
      const after = await stage.node("home-a").hasState("running", 20_000);
      require(after.engine.instanceId === before.engine.instanceId, "the engine did not stay");
      require(after.nodeId === before.nodeId, "the node became another one");
      const { received, lost } = await through.stop();
      require(lost === 0, `${lost} of ${received + lost} pings lost`);
      return `${received} pings, 0 lost; agent back and reconciled with the running engine`;
    },
  },
  {
    title: "Its engine is killed: back within two seconds",
    run: async (stage) => {
      const through = await stage.watchPings([
        ["usa-1", "home-a"],
        ["home-b", "home-a"],
      ]);
      await stage.node("home-a").killEngine();
      await until("pings come again", async () => ((await through.answeredSinceNow()) ? true : undefined), {
        timeoutMs: 10_000,
      });
      const { longestGapMs } = await through.stop();
      require(longestGapMs > 0, "no ping was lost: the engine was not the one that carries them");
      require(longestGapMs <= ENGINE_BACK_MS, `${longestGapMs} ms without packets`);
      return `${longestGapMs} ms without packets`;
    },
  },
  {
    title: "The operator is killed with -9, engine and database with it: pings go on",
    run: async (stage) => {
      const through = await stage.watchPings([
        ["home-a", "usa-1"],
        ["home-b", "ifcm-1"],
        ["usa-1", "home-b"],
      ]);
      await stage.killOperator();
      await Promise.all(FABRIC_NODES.map((name) => stage.node(name).hasState("degraded", 40_000)));
      const { received, lost } = await through.stop();
      require(lost === 0, `${lost} of ${received + lost} pings lost`);
      return `${received} pings, 0 lost; every node says degraded`;
    },
  },
  {
    title: "A node restarted meanwhile comes back from disk and reaches its peers",
    run: async (stage) => {
      await stage.node("test-1").restart();
      await stage.node("test-1").hasState("degraded", 30_000);
      for (const name of FABRIC_NODES.filter((other) => other !== "test-1")) {
        await stage.node("test-1").ping((await stage.overlayOf(name)).ipv6, 10_000);
      }
      return "test-1 reaches all four without an operator";
    },
  },
  {
    title: "The operator is back: nodes reconnect, nothing is enrolled again",
    run: async (stage) => {
      const before = stage.remembered();
      await stage.startOperator();
      await Promise.all(FABRIC_NODES.map((name) => stage.node(name).hasState("running", 40_000)));
      await stage.allReady(20_000);
      const identity = ({ metadata, spec }: Awaited<ReturnType<typeof fabricNodes>>[number]): string =>
        `${metadata.name} ${metadata.uid} ${spec.nodeId} ${spec.fingerprint}`;
      const now = (await fabricNodes(stage)).map(identity);
      require(now.join() === before.nodes.map(identity).join(), "an identity changed");
      const requests = await joinRequests(stage);
      require(requests.length ===
        before.requests, `${requests.length} JoinRequests, before ${before.requests}`);
      const { status } = await stage.cluster();
      return `term ${status?.authority?.term}; five identities as before`;
    },
  },
  {
    title: "A node is revoked: all peers refuse it within two seconds, and it is told why",
    run: async (stage) => {
      const peers = FABRIC_NODES.filter((name) => name !== REVOKED);
      const patch = JSON.stringify({ spec: { revoked: { reason: REVOCATION } } });
      await stage.kubectl("patch", "fabricnode", REVOKED, "--type=merge", `--patch=${patch}`);
      const revokedAt = performance.now();
      await until(
        "no peer has a session with it",
        async () => {
          const views = await Promise.all(peers.map((name) => stage.node(name).peers()));
          return views.some((view) => view.some(({ name }) => name === REVOKED)) ? undefined : true;
        },
        { timeoutMs: REFUSED_WITHIN_MS, everyMs: 20 },
      );
      const tookMs = Math.round(performance.now() - revokedAt);
      const { ipv6 } = await stage.overlayOf("usa-1");
      require(!(await stage.node(REVOKED).answers(ipv6)), "it still reaches usa-1");
      const node = await until(
        "its FabricNode says why",
        async () => {
          const seen = (await fabricNodes(stage)).find(({ metadata }) => metadata.name === REVOKED);
          return seen?.status?.conditions?.find(
            ({ type, reason }) => type === "Ready" && reason === "Revoked",
          );
        },
        { timeoutMs: 5_000 },
      );
      require(node.message.includes(REVOCATION), `its FabricNode says: ${node.message}`);
      const told = await stage.node(REVOKED).hasState("revoked", 5_000);
      require(told.reason?.includes(REVOCATION) === true, `the node itself reads: ${told.reason}`);
      return `${tookMs} ms; FabricNode: ${node.reason}: ${node.message}\n${await stage.kubectl("get", "fabricnodes")}`;
    },
  },
];
