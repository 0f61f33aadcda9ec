/**
 * Two members with two ways to each other that share nothing, real agents and engines, under pings and transfers:
 *
 *   left 10.71.1.1 ── first ── 10.71.1.2 right
 *        10.72.2.1 ── second ─ 10.72.2.2
 *
 * Ways fail in silence, in both directions or in one, come back, and addresses change, with the second way and without. The session goes on.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { repositoryRoot } from "../../../hack/bootstrap/artifacts.ts";
import { watchPings } from "../../../hack/demo/ping-watch.ts";
import type { Lab } from "../../../hack/lab/lab.ts";
import { runCommand } from "../../../hack/lab/namespaces.ts";
import { FABRIC_PORT } from "../../../hack/lab/programs.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { createMembers, type Members } from "../lab/members.ts";
import type { PathView, PeersView, PeerView } from "../local-api/views.ts";
import { until } from "../testing/until.ts";

const topology: Topology = {
  networks: { first: { gateways: ["10.71.1.254/24"] } },
  routers: {},
  hosts: {
    left: { network: "first", address: "10.71.1.1/24", gateway: "10.71.1.254" },
    right: { network: "first", address: "10.71.1.2/24", gateway: "10.71.1.254" },
  },
};
const NAMES = ["left", "right"] as const;
type Name = (typeof NAMES)[number];
const numbers: Readonly<Record<Name, number>> = { left: 1, right: 2 };
const inside = (name: Name) => members.addressesOf(name);
const first = (name: Name): string => `10.71.1.${numbers[name]}`;
const second = (name: Name): string => `10.72.2.${numbers[name]}`;
const other = (name: Name): Name => (name === "left" ? "right" : "left");
/** A path that failed several times is taken again only after it has lasted for a while. */
const PATIENCE_MS = 45_000;
const TRANSFER_BYTES = 200 * 1024 * 1024;

let lab: Lab;
let members: Members;

beforeAll(async () => {
  const endpointsOf = (name: string) =>
    [first, second].map((address) => `${address(name as Name)}:${FABRIC_PORT}`);
  members = await createMembers(topology, NAMES, { endpointsOf });
  ({ lab } = members);
  await addSecondNetwork();
  for (const name of NAMES) members.boot(name);
  await bothPathsReady();
}, 90_000);
afterAll(async () => {
  await lab.destroy();
}, 60_000);
afterEach(async () => {
  for (const name of NAMES) await lab.host(name).exec(["nft", "flush", "ruleset"]);
});

async function addSecondNetwork(): Promise<void> {
  const [left, right] = NAMES.map((name) => lab.namespaceOf(name));
  const veth = ["link", "add", "second", "type", "veth", "peer", "name", "second", "netns", right!];
  await runCommand(["ip", "-n", left!, ...veth]);
  for (const name of NAMES) {
    await ip(name, "addr", "add", `${second(name)}/24`, "dev", "second");
    await ip(name, "link", "set", "second", "up");
  }
}

const ip = (name: Name, ...args: string[]) => lab.host(name).exec(["ip", ...args]);

/** The way dies without a word: what `name` is sent over it from outside the tunnel is lost. */
async function silence(name: Name, addresses: readonly string[]): Promise<void> {
  const rules = [
    "table inet silence {",
    "  chain input { type filter hook input priority 0;",
    `    ip daddr { ${addresses.join(", ")} } drop`,
    "  }",
    "}",
  ];
  await lab.host(name).exec(["nft", "-f", "-"], { input: rules.join("\n") });
}
const restore = (name: Name) => lab.host(name).exec(["nft", "flush", "ruleset"]);

/** As a host does that moves to another network: the old address goes, a new one comes. */
async function readdress(name: Name, from: string, to: string): Promise<void> {
  const input = `addr del ${from}/24 dev eth0\naddr add ${to}/24 dev eth0\n`;
  await lab.host(name).exec(["ip", "-batch", "-"], { input });
}

async function peerOf(name: Name): Promise<PeerView | undefined> {
  return (await members.get<PeersView>(name, "/v1/peers").catch(() => null))?.peers[0];
}
const active = (peer: PeerView | undefined): PathView | undefined =>
  peer?.paths.find(({ status }) => status === "active");

/** Until the peer of `name` is reached at this address and the others wait. */
async function reachedAt(name: Name, address: string, backups: number): Promise<PeerView> {
  const seen = await until(
    () => peerOf(name),
    (peer) =>
      peer?.session === "ready" &&
      active(peer)?.remote.startsWith(`${address}:`) === true &&
      peer.paths.filter(({ status }) => status === "backup").length >= backups,
    PATIENCE_MS,
  );
  return seen!;
}
async function bothPathsReady(): Promise<void> {
  for (const name of NAMES) await reachedAt(name, first(other(name)), 1);
}

const pingBothWays = () =>
  watchPings(NAMES.map((name) => ({ from: lab.host(name), address: inside(other(name)).ipv4 })));

/** The session is the one of before: a new one would have a new beginning, and a reason. */
async function sameSession(work: () => Promise<void>): Promise<void> {
  const sessions = () =>
    Promise.all(
      NAMES.map(async (name) => {
        const peer = await peerOf(name);
        return { since: peer?.since, lastFailure: peer?.lastFailure };
      }),
    );
  const before = await sessions();
  await work();
  expect(await sessions()).toEqual(before);
}

/** A TCP transfer inside the tunnel; resolves to whether every byte arrived. */
async function transfer(from: Name, during: () => Promise<void>): Promise<void> {
  const program = join(repositoryRoot, "hack/demo/transfer.ts");
  const to = other(from);
  const run = (name: Name, ...args: string[]) =>
    lab.host(name).spawn([process.execPath, program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const receiver = run(to, "receive", inside(to).ipv4, "7000");
  const received = lines(receiver.stdout!);
  expect(await received.next()).toMatchObject({ value: "listening" });
  const sender = run(from, "send", inside(to).ipv4, "7000", String(TRANSFER_BYTES));
  const sent = lines(sender.stdout!);
  await during();
  const [there, here] = await Promise.all([received.next(), sent.next()]);
  for (const child of [receiver, sender]) if (child.exitCode === null) await once(child, "exit");
  const report = (line: IteratorResult<string>) => JSON.parse(String(line.value)) as { sha256: string };
  expect(report(there)).toMatchObject({ bytes: TRANSFER_BYTES, sha256: report(here).sha256 });
}
const lines = (stream: Readable) => createInterface(stream)[Symbol.asyncIterator]();

const tell = (what: string, gapMs: number, lost: number): void =>
  console.log(`${what}: longest gap ${gapMs} ms, ${lost} pings lost`);

describe("a session with two ways", () => {
  it("says of each how good it is", async () => {
    const peer = await reachedAt("left", first("right"), 1);
    expect(peer.paths).toMatchObject([
      { status: "active", remote: `${first("right")}:${FABRIC_PORT}`, local: first("left") },
      { status: "backup", remote: `${second("right")}:${FABRIC_PORT}`, local: second("left") },
    ]);
    for (const path of peer.paths) {
      expect(path.rttMicros).toBeGreaterThan(0);
      expect(path.mtu).toBeGreaterThanOrEqual(1200);
      expect(path.lastHeardAt).toBeGreaterThan(Date.now() / 1000 - 30);
    }
  }, 40_000);

  it.each([
    ["both directions", NAMES],
    ["the direction to the right", ["right"] as const],
    ["the direction to the left", ["left"] as const],
  ])(
    "goes on over the second when the first dies silently in %s, and goes back",
    async (what, silenced) => {
      await sameSession(async () => {
        const pings = await pingBothWays();
        for (const name of silenced) await silence(name, [first(name)]);
        await reachedAt("left", second("right"), 0);
        await reachedAt("right", second("left"), 0);
        await pings.answeredSinceNow();
        const { longestGapMs, lost } = await pings.stop();
        tell(`the first way dies in ${what}`, longestGapMs, lost);
        expect(longestGapMs).toBeLessThan(2_000);

        const back = await pingBothWays();
        for (const name of silenced) await restore(name);
        await bothPathsReady();
        const count = await back.stop();
        tell("it comes back", count.longestGapMs, count.lost);
        expect(count.lost).toBe(0);
      });
    },
    120_000,
  );

  it("keeps a transfer whole when the way that it takes dies", async () => {
    await bothPathsReady();
    await sameSession(async () => {
      await transfer("left", async () => {
        await moved("left", 20);
        for (const name of NAMES) await silence(name, [first(name)]);
        await reachedAt("left", second("right"), 0);
      });
    });
    for (const name of NAMES) await restore(name);
    await bothPathsReady();
  }, 150_000);

  it("keeps a transfer whole when both ways die and come back", async () => {
    await sameSession(async () => {
      await transfer("right", async () => {
        await moved("right", 20);
        for (const name of NAMES) await silence(name, [first(name), second(name)]);
        await until(
          () => peerOf("left"),
          (peer) => peer?.paths.every(({ status }) => status !== "active" && status !== "backup") ?? false,
          10_000,
        );
        for (const name of NAMES) await restore(name);
      });
    });
    await bothPathsReady();
  }, 150_000);

  it.each(NAMES)(
    "keeps a transfer whole when the address of %s changes",
    async (name) => {
      const changed = `10.71.1.${numbers[name]}7`;
      await sameSession(async () => {
        const pings = await pingBothWays();
        await transfer(name, async () => {
          await moved(name, 20);
          await readdress(name, first(name), changed);
        });
        const { longestGapMs, lost } = await pings.stop();
        tell(`the address of ${name} changes`, longestGapMs, lost);
        expect(longestGapMs).toBeLessThan(2_000);
      });
      await readdress(name, changed, first(name));
      await bothPathsReady();
    },
    150_000,
  );
});

describe("a session with one way", () => {
  beforeAll(async () => {
    for (const name of NAMES) await ip(name, "link", "set", "second", "down");
    for (const name of NAMES)
      await until(
        () => peerOf(name),
        (peer) => peer?.paths.every(({ status }) => status !== "backup") ?? false,
      );
  }, 60_000);

  it.each(NAMES)(
    "goes on when the address of %s changes, and when it changes back",
    async (name) => {
      const changed = `10.71.1.${numbers[name]}7`;
      await sameSession(async () => {
        for (const [from, to] of [
          [first(name), changed],
          [changed, first(name)],
        ] as const) {
          const pings = await pingBothWays();
          await readdress(name, from, to);
          await reachedAt(other(name), to, 0);
          const { longestGapMs, lost } = await pings.stop();
          tell(`the only address of ${name} changes`, longestGapMs, lost);
          expect(longestGapMs).toBeLessThan(1_000);
        }
      });
    },
    120_000,
  );
});

/** Until the transfer has sent so many megabytes since now. */
async function moved(from: Name, megabytes: number): Promise<void> {
  const sent = async () => (await peerOf(from))?.bytes.sent ?? 0;
  const before = await sent();
  await until(sent, (bytes) => bytes - before > megabytes * 1_000_000, 20_000);
}
