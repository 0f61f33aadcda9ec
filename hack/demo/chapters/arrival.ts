/** The control plane comes up; five nodes and a stranger ask to join; one is turned away, five are let in. */
import { readFileSync } from "node:fs";
import { fabricNodes, joinRequests } from "../resources.ts";
import { FABRIC_NODES, STRANGER, type Stage } from "../stage.ts";
import type { Step } from "../story.ts";
import { require, until } from "../wait.ts";

const REJECTION = "nobody here knows this machine";

export const arrival: readonly Step<Stage>[] = [
  {
    title: "The API server is ready",
    run: async ({ kubectl }) => {
      require((await kubectl("get", "--raw", "/readyz")).trim() ===
        "ok", "the API server says it is not ready");
      return (await kubectl("version", "--output=yaml")).match(/gitVersion: .*/g)?.at(-1) ?? "";
    },
  },
  {
    title: "The custom resources are applied",
    run: (stage) => stage.applyApi(),
  },
  {
    title: "The operator leads",
    run: async (stage) => {
      await stage.startOperator();
      const status = await until(
        "the Cluster is Ready",
        async () => {
          const { status: seen } = await stage.cluster();
          return seen?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True")
            ? seen
            : undefined;
        },
        { timeoutMs: 30_000 },
      );
      return `term ${status.authority?.term}, ledger ${status.authority?.ledgerId}`;
    },
  },
  {
    title: "A join token is made",
    run: async (stage) => {
      const seen = await stage.makeToken();
      require(!readFileSync(stage.controlPlane.logs.apiServer, "utf8").includes(
        stage.tokenSecret(),
      ), "the raw token reached the API server's log");
      const stored = await stage.kubectl("get", "jointokens", "--output=yaml");
      require(!stored.includes(stage.tokenSecret()), "the raw token is stored in the API server");
      return `${seen} (shown once; only its salted hash is stored)`;
    },
  },
  {
    title: "Five nodes and a stranger ask to join; all are pending",
    run: async (stage) => {
      await Promise.all([...FABRIC_NODES, STRANGER].map((name) => stage.node(name).boot()));
      await Promise.all(
        [...FABRIC_NODES, STRANGER].map((name) =>
          stage.node(name).join(stage.tokenFile(), stage.rolesOf(name)),
        ),
      );
      await until(
        "six JoinRequests are pending",
        async () => {
          const requests = await joinRequests(stage);
          return requests.length === 6 && requests.every(({ status }) => status?.decision === "Pending")
            ? requests
            : undefined;
        },
        { timeoutMs: 20_000 },
      );
      for (const name of [...FABRIC_NODES, STRANGER]) await stage.node(name).hasState("pending", 5_000);
      require((await fabricNodes(stage)).length === 0, "a node was let in without approval");
      return stage.kubectl("get", "joinrequests");
    },
  },
  {
    title: "The stranger is rejected, with a reason that it gets to read",
    run: async (stage) => {
      await stage.fabric("reject", STRANGER, "--reason", REJECTION);
      const status = await stage.node(STRANGER).hasState("denied", 10_000);
      require(status.reason?.includes(REJECTION) === true, `the stranger reads: ${status.reason}`);
      return `stranger-1 reads: ${status.reason}`;
    },
  },
  {
    title: "Five are approved with kubectl",
    run: async (stage) => {
      const patch = JSON.stringify({ spec: { approvals: [{ user: "admin", decision: "Approve" }] } });
      for (const { metadata, spec } of await joinRequests(stage)) {
        if (spec.nodeName !== STRANGER)
          await stage.kubectl("patch", "joinrequest", metadata.name, "--type=merge", `--patch=${patch}`);
      }
      const nodes = await until(
        "five FabricNodes",
        async () => {
          const seen = await fabricNodes(stage);
          return seen.length === 5 ? seen : undefined;
        },
        { timeoutMs: 10_000 },
      );
      return nodes.map(({ metadata }) => metadata.name).join(", ");
    },
  },
  {
    title: "Certificates, control sessions, and the newest epoch confirmed by all",
    run: async (stage) => {
      await Promise.all(FABRIC_NODES.map((name) => stage.node(name).hasState("running", 20_000)));
      await stage.allReady(20_000);
      const status = await until(
        "all confirm the epoch",
        async () => {
          const { status: seen } = await stage.cluster();
          return seen?.nodes?.confirmed === 5 && seen.nodes.connected === 5 ? seen : undefined;
        },
        { timeoutMs: 20_000 },
      );
      await stage.remember();
      return `epoch ${status.authority?.epoch} confirmed by ${status.nodes?.confirmed}\n${await stage.kubectl("get", "fabricnodes")}`;
    },
  },
];
