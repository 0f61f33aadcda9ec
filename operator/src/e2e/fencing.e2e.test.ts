/**
 * A ruler that stops in mid-air and wakes up when another rules; and what nodes in session notice of outages. Two operators, each with its
 * own engine and enrolment API, one ledger, one node that knows the way to both.
 */
import type { Cluster, FabricNode, JoinRequest } from "@saf/crds";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createJoiner, makeToken, type Joiner } from "./joiner.ts";
import {
  buildStage,
  clusterOf,
  eventually,
  freeTcpPort,
  freeUdpPort,
  type RunningOperator,
  type Stage,
} from "./stage.ts";
import { enrolNode, type TestNode } from "./test-node.ts";
import { reasonOf } from "./ready-reason.ts";

/** A minute is what is promised; nothing in the operator waits longer than 30 s for anything, so half of it shows the same. */
const OUTAGE_MS = 35_000;

let stage: Stage;
let first: RunningOperator;
let second: RunningOperator;
let secondPort: number;
let token: string;
let node: TestNode;
let beating: AbortController;

const ruling = async (): Promise<{ holder: string | undefined; term: number }> => {
  const { holder, term = 0 } = (await stage.get<Cluster>("cluster", "stage"))?.status?.authority ?? {};
  return { holder, term };
};

const isReady = (timeoutMs?: number): Promise<FabricNode> =>
  eventually(
    "the node is in contact and up to date",
    async () => {
      const read = await stage.get<FabricNode>("fn", node.name);
      return reasonOf(read) === "Connected" && read;
    },
    timeoutMs,
  );

/** As an agent does: every second here, and whatever becomes of it. */
async function keepBeating(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await node.beat().catch(() => undefined);
    await delay(1_000, undefined, { signal }).catch(() => undefined);
  }
}

const acks = (): number => node.answers.filter(({ kind }) => kind === "heartbeat-ack").length;

beforeAll(async () => {
  stage = await buildStage();
  const secondControl = await freeUdpPort();
  secondPort = await freeTcpPort();
  const keyFile = join(stage.dir, "control", "control.key");
  await stage.startEngine("operator", { port: stage.ports.control, keyFile });
  await stage.startEngine("second", { port: secondControl, keyFile });
  first = await stage.startOperator({ holder: "first", ledger: "one" });
  const control = [`127.0.0.1:${stage.ports.control}`, `127.0.0.1:${secondControl}`];
  const enrolment = [`https://127.0.0.1:${stage.ports.enrolment}`];
  await stage.apply(clusterOf(stage, { endpoints: { enrolment, control } }));
  await eventually("the first rules", async () => (await ruling()).holder === "first");
  second = await stage.startOperator({
    holder: "second",
    ledger: "one",
    engine: "second",
    enrolmentPort: secondPort,
  });
  const cluster = await stage.get<Cluster>("cluster", "stage");
  const made = makeToken("all", cluster?.status?.authority?.caPin ?? "");
  token = made.token;
  await stage.apply(made.object);
  await eventually("the token is active", async () => reasonOf(await stage.get("jt", "all")) === "Active");
  node = await enrolNode(stage, token, "node-a");
  beating = new AbortController();
  void keepBeating(beating.signal);
  await isReady();
}, 90_000);

afterAll(async () => {
  if (process.env["SHOW_LOG"]) console.log(first?.log(), "\n----\n", second?.log());
  beating?.abort();
  await node?.stop();
  await stage?.end();
}, 60_000);

const ask = (joiner: Joiner): Promise<{ status: number; body: unknown }> =>
  joiner.ask(token).catch((error: unknown) => ({ status: 0, body: error }));

/** The database's own processes, of the embedded PostgreSQL. */
function databaseProcesses(): number[] {
  const postmaster = Number(
    readFileSync(join(stage.dir, "ledger-one/pgdata/postmaster.pid"), "utf8").split("\n")[0],
  );
  const parentOf = (pid: string): number => {
    try {
      return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
    } catch {
      return 0;
    }
  };
  const children = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === postmaster);
  return [postmaster, ...children.map(Number)];
}

it("keeps nodes in session while the database hangs, says so to joiners, and goes on by itself", async () => {
  const before = await ruling();
  const closings = node.closings.length;
  const frozen = databaseProcesses();
  frozen.forEach((pid) => process.kill(pid, "SIGSTOP"));
  const joiner = createJoiner(stage.ports.enrolment, "patient");
  try {
    const heard = acks();
    const startedMs = Date.now();
    const refused = await ask(joiner);
    expect(refused).toMatchObject({ status: 503, body: { code: "LEDGER_UNAVAILABLE" } });
    expect(Date.now() - startedMs).toBeLessThan(15_000);
    await delay(OUTAGE_MS - (Date.now() - startedMs));
    expect(acks() - heard).toBeGreaterThan(20);
    expect(node.closings).toHaveLength(closings);
    expect(await node.connected()).toBe(true);
  } finally {
    frozen.forEach((pid) => process.kill(pid, "SIGCONT"));
  }
  await eventually("the host is admitted", async () => (await ask(joiner)).status === 202, 30_000);
  await eventually("the request is shown", () => stage.get<JoinRequest>("jr", joiner.requestId), 45_000);
  expect(await ruling()).toEqual(before);
  await isReady(30_000);
}, 150_000);

it("loses no node and no request while the API server is away", async () => {
  const before = await ruling();
  await stage.controlPlane.pause();
  await delay(OUTAGE_MS);
  await stage.controlPlane.resume();
  const after = await eventually(
    "one rules in a later term",
    async () => {
      const now = await ruling();
      return now.term > before.term && now;
    },
    30_000,
  );
  await isReady(45_000);
  await eventually(
    "the node has a snapshot of that term",
    async () => node.newest()?.term === after.term,
    30_000,
  );
  expect(node.newest()?.body.nodeId).toBe(node.nodeId);
  expect((await stage.kubectl("get", "fn", "-o", "name")).trim()).toBe("fabricnode.fabric.saf.dev/node-a");
}, 150_000);

it("does nothing more once it slept through the end of its term", async () => {
  const { holder, term } = await ruling();
  const [sleeper, other, sleeperPort] =
    holder === "first" ? [first, second, stage.ports.enrolment] : [second, first, secondPort];
  process.kill(sleeper.pid, "SIGSTOP");
  const after = await eventually(
    "the other rules",
    async () => {
      const now = await ruling();
      return now.holder !== holder && now;
    },
    30_000,
  );
  expect(after.term).toBe(term + 1);
  // The dead man's switch of the sleeper's engine lets the node go, at the latest.
  await node.until("a snapshot of the new term", (snapshot) => snapshot.term === term + 1, 60_000);
  const slept = sleeper.log().length;

  // What waits for it when it wakes: a join, and heartbeats on nothing.
  const early = ask(createJoiner(sleeperPort, "early"));
  await delay(200);
  const snapshots = node.snapshots.length;
  process.kill(sleeper.pid, "SIGCONT");
  const answer = await early;
  expect(answer.status).not.toBe(202);
  await eventually("it notices", () => /"no longer leading"/.test(sleeper.log().slice(slept)), 15_000);

  expect(await ruling()).toEqual(after);
  const woken = sleeper.log().slice(slept);
  expect(woken).not.toMatch(/"new epoch"|"join requested"|"ruling"/);
  expect((await ask(createJoiner(sleeperPort, "later"))).status).toBe(0);
  await delay(5_000);
  expect(node.snapshots.slice(snapshots).every((snapshot) => snapshot.term === term + 1)).toBe(true);
  expect(await ruling()).toEqual(after);
  expect(other.log()).not.toContain("fenced");
  await isReady();
}, 180_000);
