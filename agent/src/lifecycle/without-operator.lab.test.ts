/**
 * Two members that start from disk, with real engines, and no operator anywhere:
 *
 *   usa-1 198.51.100.21 ──┐
 *                         ├── internet
 *   test-1 203.0.113.41 ──┘
 *
 * Each node lives by the snapshot that it finds; agents and engines are killed under running pings.
 */
import { watchPings } from "../../../hack/demo/ping-watch.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { FABRIC_PORT } from "../../../hack/lab/programs.ts";
import { createMembers, type Members } from "../lab/members.ts";
import type { NodeState, PeersView } from "../local-api/views.ts";
import { until } from "../testing/until.ts";

const topology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24", "198.51.100.1/24"] } },
  routers: {},
  hosts: {
    "usa-1": { network: "internet", address: "198.51.100.21/24", gateway: "198.51.100.1" },
    "test-1": { network: "internet", address: "203.0.113.41/24", gateway: "203.0.113.1" },
  },
};
const NAMES = ["usa-1", "test-1"] as const;
type Name = (typeof NAMES)[number];

let members: Members;
let lab: Members["lab"];
const status = (name: Name) => members.status(name);

beforeAll(async () => {
  members = await createMembers(topology, NAMES);
  ({ lab } = members);
  for (const name of NAMES) members.boot(name);
}, 60_000);
afterAll(async () => {
  await members.lab.destroy();
}, 60_000);

// ---- what can be seen from outside

const hasState = (name: Name, state: NodeState) =>
  until(
    () => status(name),
    (seen) => seen?.state === state,
    15_000,
  );
const pingBothWays = () =>
  watchPings([
    { from: lab.host("usa-1"), address: members.addressesOf("test-1").ipv6 },
    { from: lab.host("test-1"), address: members.addressesOf("usa-1").ipv4 },
  ]);
const interfaces = async (name: Name): Promise<string> =>
  (await lab.host(name).exec(["ip", "-o", "addr"])).stdout;

describe("two members without an operator", () => {
  it("reach each other by what is on their disks, and say degraded", async () => {
    for (const name of NAMES) {
      await until(
        () => status(name),
        (seen) => seen?.reasonCode === "OPERATOR_UNHEARD" && seen.peers.direct === 1,
        15_000,
      );
    }
    const pings = await pingBothWays();
    expect((await pings.stop()).lost).toBe(0);
    const { peers } = await members.get<PeersView>("usa-1", "/v1/peers");
    expect(peers).toMatchObject([
      { name: "test-1", session: "ready", remote: `203.0.113.41:${FABRIC_PORT}` },
    ]);
    expect(await status("usa-1")).toMatchObject({
      state: "degraded",
      nodeId: members.idOf("usa-1"),
      engine: { interface: "fabric0" },
      peers: { known: 1, direct: 1 },
    });
  }, 30_000);

  it("lose no packet when an agent is killed with -9 and comes back", async () => {
    const before = await status("usa-1");
    const pings = await pingBothWays();
    await lab.supervisor.killHard("usa-1/agent");
    const after = await until(
      () => status("usa-1"),
      (seen) =>
        seen?.state === "degraded" && seen.engine.connected && seen.startedAt >= (before?.startedAt ?? 0),
      15_000,
    );
    await pings.answeredSinceNow();
    const { lost, received } = await pings.stop();
    expect(lost).toBe(0);
    expect(received).toBeGreaterThan(0);
    expect(after?.engine.instanceId).toBe(before?.engine.instanceId);
    expect(after?.peers.direct).toBe(1);
    expect(lab.supervisor.get("usa-1/agent").restarts).toBe(1);
  }, 30_000);

  it("lose no packet when an agent is stopped for an upgrade and started again", async () => {
    const pings = await pingBothWays();
    await lab.supervisor.stop("test-1/agent");
    await pings.answeredSinceNow();
    lab.supervisor.start("test-1/agent");
    await hasState("test-1", "degraded");
    await pings.answeredSinceNow();
    expect((await pings.stop()).lost).toBe(0);
  }, 30_000);

  it("are back within two seconds when an engine is killed with -9", async () => {
    const before = await status("test-1");
    const pings = await pingBothWays();
    await lab.supervisor.killHard("test-1/engine");
    await until(
      () => status("test-1"),
      (seen) =>
        seen !== null && seen.engine.connected && seen.engine.instanceId !== before?.engine.instanceId,
      10_000,
    );
    await until(
      () => pings.answeredSinceNow().catch(() => false),
      (answered) => answered,
      10_000,
    );
    const { longestGapMs } = await pings.stop();
    expect(longestGapMs).toBeGreaterThan(0);
    expect(longestGapMs).toBeLessThan(2000);
  }, 30_000);

  it("do nothing any more, with or without an agent, when the snapshot has run out", async () => {
    for (const name of NAMES) await lab.supervisor.stop(`${name}/agent`);
    for (const name of NAMES) {
      await members.leaveSnapshot(name, 8);
      lab.supervisor.start(`${name}/agent`);
    }
    await until(
      () => status("usa-1"),
      (seen) => seen?.reasonCode === "OPERATOR_UNHEARD", // the engine has it
      8000,
    );
    await lab.supervisor.stop("usa-1/agent"); // its engine is on its own now
    expect(await hasState("test-1", "expired")).toMatchObject({ reasonCode: "SNAPSHOT_EXPIRED" });
    for (const name of NAMES) {
      await until(
        () => interfaces(name),
        (listing) => !listing.includes("fabric0"),
        5000,
      );
    }
  }, 30_000);
});
