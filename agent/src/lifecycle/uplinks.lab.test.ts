/**
 * A member with two interfaces that both lead to the one address of another, as a laptop with a cable and Wi-Fi:
 *
 *   left 10.71.1.1 ── eth0 ─── 10.71.1.2 right, which is known as 10.73.3.1
 *        10.72.2.1 ── second ─ 10.72.2.2
 *
 * The host prefers eth0. When that dies in silence, or loses its address, the session goes on through the other.
 */
import { watchPings } from "../../../hack/demo/ping-watch.ts";
import type { Lab } from "../../../hack/lab/lab.ts";
import { runCommand } from "../../../hack/lab/namespaces.ts";
import { FABRIC_PORT } from "../../../hack/lab/programs.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { createMembers, type Members } from "../lab/members.ts";
import type { PathView, PeersView } from "../local-api/views.ts";
import { until } from "../testing/until.ts";

const topology: Topology = {
  networks: { first: { gateways: ["10.71.1.254/24"] } },
  routers: {},
  hosts: {
    left: { network: "first", address: "10.71.1.1/24", gateway: "10.71.1.254" },
    right: { network: "first", address: "10.71.1.2/24", gateway: "10.71.1.254" },
  },
};
const CABLE = "10.71.1.1";
const WIRELESS = "10.72.2.1";
const REMOTE = "10.73.3.1";
const PATIENCE_MS = 30_000;

let lab: Lab;
let members: Members;

beforeAll(async () => {
  // Only the left can dial: the right knows no address of it.
  const endpointsOf = (name: string) => (name === "right" ? [`${REMOTE}:${FABRIC_PORT}`] : []);
  members = await createMembers(topology, ["left", "right"], { endpointsOf });
  ({ lab } = members);
  const [left, right] = ["left", "right"].map((name) => lab.namespaceOf(name));
  const veth = ["link", "add", "second", "type", "veth", "peer", "name", "second", "netns", right!];
  await runCommand(["ip", "-n", left!, ...veth]);
  await ip("left", ["addr", "add", `${WIRELESS}/24`, "dev", "second"], ["link", "set", "second", "up"]);
  await ip("right", ["addr", "add", "10.72.2.2/24", "dev", "second"], ["link", "set", "second", "up"]);
  await ip("right", ["addr", "add", `${REMOTE}/32`, "dev", "lo"]);
  await addRoutes();
  for (const name of ["left", "right"]) members.boot(name);
}, 90_000);
afterAll(async () => {
  await lab.destroy();
}, 60_000);

const addRoutes = () =>
  ip(
    "left",
    ["route", "add", REMOTE, "via", "10.71.1.2", "metric", "100"],
    ["route", "replace", REMOTE, "via", "10.72.2.2", "metric", "200"],
  );

async function ip(name: string, ...commands: readonly string[][]): Promise<void> {
  for (const command of commands) await lab.host(name).exec(["ip", ...command]);
}

const pathsOf = async () => (await members.get<PeersView>("left", "/v1/peers")).peers[0]?.paths ?? [];

/** Until the left sends from the first of these addresses, and the others are all that wait. */
async function goesFrom(active: string, ...backups: readonly string[]): Promise<void> {
  const from = (paths: readonly PathView[], of: string) =>
    paths.filter(({ status }) => status === of).map(({ local }) => local);
  const asWanted = (paths: readonly PathView[]) =>
    JSON.stringify([from(paths, "active"), from(paths, "backup")]) === JSON.stringify([[active], backups]);
  await until(() => pathsOf().catch(() => []), asWanted, PATIENCE_MS);
}

const pings = () => watchPings([{ from: lab.host("left"), address: members.addressesOf("right").ipv4 }]);

describe("a member with two interfaces to the same address of a peer", () => {
  it("keeps a path through each, and prefers the one that its host does", async () => {
    await goesFrom(CABLE, WIRELESS);
    const counted = async () => {
      const text = await lab.host("left").exec(["cat", "/sys/class/net/second/statistics/tx_packets"]);
      return Number(text.stdout);
    };
    const before = await counted();
    // Pings of the waiting path, which take the interface of their address.
    await until(counted, (count) => count > before + 2, PATIENCE_MS);
  }, 60_000);

  it("goes on through the second when the first dies silently, and goes back", async () => {
    const watch = await pings();
    const rules =
      "table inet silence { chain output { type filter hook output priority 0; oifname eth0 drop; }; }";
    await lab.host("left").exec(["nft", "-f", "-"], { input: rules });
    await goesFrom(WIRELESS);
    // Also while the first is tried again in vain.
    await until(pathsOf, (paths) => paths.some(({ status }) => status === "opening"), PATIENCE_MS);
    for (let answers = 0; answers < 25; answers += 1) await watch.answeredSinceNow();
    const dead = await watch.stop();
    console.log(`the first dies: longest gap ${dead.longestGapMs} ms, ${dead.lost} pings lost`);
    expect(dead.longestGapMs).toBeLessThan(2_000);

    const back = await pings();
    await lab.host("left").exec(["nft", "flush", "ruleset"]);
    await goesFrom(CABLE, WIRELESS);
    const returned = await back.stop();
    console.log(`it comes back: longest gap ${returned.longestGapMs} ms, ${returned.lost} pings lost`);
    expect(returned.lost).toBe(0);
  }, 120_000);

  it("goes on through the second when the first loses its address, and goes back", async () => {
    const watch = await pings();
    await ip("left", ["addr", "del", `${CABLE}/24`, "dev", "eth0"]);
    await goesFrom(WIRELESS);
    await watch.answeredSinceNow();
    await ip("left", ["addr", "add", `${CABLE}/24`, "dev", "eth0"]);
    await addRoutes();
    await goesFrom(CABLE, WIRELESS);
    const { longestGapMs, lost } = await watch.stop();
    console.log(`its address goes and comes: longest gap ${longestGapMs} ms, ${lost} pings lost`);
    expect(longestGapMs).toBeLessThan(2_000);
  }, 120_000);
});
