/**
 * The longest time in which nothing arrives, of packets every 10 ms and of a bulk stream, when something under the session
 * changes: the active path goes silent, an address is replaced, an agent is killed.
 */
import { setTimeout } from "node:timers/promises";
import { longestGapMs } from "../arrivals.ts";
import { BenchError } from "../bench-error.ts";
import type { Ground, Measure, Stand } from "../measure.ts";
import { startProbe, type Probe } from "../probe.ts";
import { PATH_ADDRESSES, type PathName } from "../wires.ts";

/** What has not come back by then is reported as a gap of that length. */
const CAP_MS = 20_000;
/** For the traffic to begin at all. */
const BEGIN_MS = 15_000;
/** How long the two paths are watched for which of them carries the traffic. */
const WATCH_MS = 300;
/** An engine that keeps a second path warm has shown it by then. */
const WARM_MS = 10_000;
/** After the path came back, or after the agent was killed: what follows is looked at for this long. */
const AFTERMATH_MS = 3_000;

const nowNs = (): number => Number(process.hrtime.bigint());

export const gaps: readonly Measure[] = [
  failover("failover", "The active path goes silent", "two-near", false),
  failover("failover-far", "The active path goes silent, RTT 40 ms", "two-far", true),
  {
    name: "address-change",
    title: "The address of one side is replaced",
    ground: "alone",
    applies: ({ name }) => name === "fabric",
    run: async (stand) => {
      const { wires } = stand.bed;
      const before = PATH_ADDRESSES.path1.right;
      const other = before.replace(/\d+$/, "22");
      try {
        return { ...(await watch(stand, () => wires.readdress("path1", "right", before, other))) };
      } finally {
        await wires.readdress("path1", "right", other, before); // the others live by that address
        await stand.tunnel.ready();
      }
    },
  },
  {
    name: "agent-restart",
    title: "An agent is killed and starts again",
    ground: "alone",
    applies: ({ name }) => name === "fabric",
    run: async (stand) => {
      const { fabric } = stand;
      if (fabric === undefined) throw new BenchError("no fabric to measure");
      return { ...(await watch(stand, () => fabric.killAgent("right"))) };
    },
  },
];

function failover(name: string, title: string, ground: Ground, slow: boolean): Measure {
  return {
    name,
    title,
    ground,
    slow,
    applies: (contender) => contender.name === "fabric",
    run: async (stand) => {
      const { wires } = stand.bed;
      const warm = await secondPathIsWarm(stand);
      let active: PathName = "path1";
      try {
        const gone = await watch(stand, async () => {
          active = await busiestPath(stand);
          await wires.trouble(active, { silent: true });
        });
        const back = await watch(stand, () => wires.trouble(active, {}));
        return { ...gone, backMs: back.interactiveMs, secondPathWarm: warm ? 1 : 0 };
      } finally {
        await wires.trouble(active, {});
      }
    },
  };
}

interface GapFigures {
  readonly interactiveMs: number;
  readonly bulkMs: number;
  readonly lost: number;
}

/** The gaps from just before `happens` until both streams flow again, and what follows. */
async function watch({ bed, tunnel }: Stand, happens: () => Promise<void>): Promise<GapFigures> {
  const probe = await startProbe(bed, tunnel.right.ipv4);
  const from = await began(probe);
  await happens();
  const changed = nowNs();
  await probe.flowing(CAP_MS);
  await setTimeout(AFTERMATH_MS - Math.min(AFTERMATH_MS, (nowNs() - changed) / 1e6));
  const until = nowNs();
  const { interactive, bulk } = await probe.end();
  return {
    interactiveMs: longestGapMs(interactive, from, until),
    bulkMs: longestGapMs(bulk, from, until),
    lost: interactive.missing,
  };
}

async function began(probe: Probe): Promise<number> {
  if (!(await probe.flowing(BEGIN_MS))) {
    await probe.end();
    throw new BenchError("no traffic to begin with");
  }
  return nowNs();
}

async function busiestPath({ bed: { wires } }: Stand): Promise<PathName> {
  const read = () =>
    Promise.all([wires.receivedBytes("path1", "right"), wires.receivedBytes("path2", "right")]);
  const before = await read();
  await setTimeout(WATCH_MS);
  const after = await read();
  return after[1] - before[1] > after[0] - before[0] ? "path2" : "path1";
}

/** Whether something comes over both paths all the time: heard four times in a row. */
async function secondPathIsWarm({ bed: { wires } }: Stand): Promise<boolean> {
  const deadline = performance.now() + WARM_MS;
  let heard = 0;
  let before = [0, 0];
  while (heard < 4 && performance.now() < deadline) {
    const now = await Promise.all([
      wires.receivedBytes("path1", "right"),
      wires.receivedBytes("path2", "right"),
    ]);
    heard = now.every((bytes, path) => bytes > (before[path] ?? 0)) ? heard + 1 : 0;
    before = now;
    await setTimeout(WATCH_MS);
  }
  return heard >= 4;
}
