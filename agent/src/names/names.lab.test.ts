/**
 * Names on hosts without systemd-resolved and without an operator:
 *
 *   usa-1  resolv.conf: 203.0.113.53 ──► 127.0.0.74 (the agent; what is not of the zone it passes on to 203.0.113.53)
 *   test-1 the agent only serves, for whoever may ask ──┐
 *   stranger-1 is no member ────────────────────────────┴── internet ── provider 203.0.113.53, a name server
 *
 * Port 53 is open to ordinary users, as in a container; each host has a resolv.conf of its own, mounted as a container's is.
 */
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { agentUser } from "../../../hack/lab/programs.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { createMembers, type Members } from "../lab/members.ts";
import { until } from "../testing/until.ts";

const internet = (address: string) => ({
  network: "internet",
  address: `${address}/24`,
  gateway: "203.0.113.1",
});
const topology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24"] } },
  routers: {},
  hosts: {
    "usa-1": internet("203.0.113.21"),
    "test-1": internet("203.0.113.41"),
    "stranger-1": internet("203.0.113.66"),
    provider: internet("203.0.113.53"),
  },
};
const NAMES = ["usa-1", "test-1"] as const;
const ORIGINAL =
  "# by the provider\r\nnameserver 203.0.113.53\nsearch provider.example\noptions timeout:2 attempts:1";
const ZONE = "demo.fabric.internal";
const PROVIDER = path.join(import.meta.dirname, "../testing/serve-provider.ts");

let members: Members;
let lab: Members["lab"];
let folder: string;
let resolvConf: string;

beforeAll(async () => {
  members = await createMembers(topology, NAMES);
  ({ lab } = members);
  folder = `/etc/netns/${lab.host("usa-1").namespace}`;
  resolvConf = path.join(folder, "resolv.conf");
  mkdirSync(folder, { recursive: true });
  writeFileSync(resolvConf, ORIGINAL);
  chownSync(resolvConf, agentUser(0).uid, agentUser(0).gid);
  for (const name of NAMES)
    await lab.host(name).exec(["sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=53"]);
  lab.supervisor.add({
    name: "provider/names",
    command: [
      "ip",
      "netns",
      "exec",
      lab.host("provider").namespace,
      process.execPath,
      PROVIDER,
      "203.0.113.53",
    ],
    logFile: path.join(lab.directory, "logs", "provider.names.log"),
  });
  members.boot("usa-1", { names: { mode: "resolv.conf", resolvConf: "/etc/resolv.conf" } });
  members.boot("test-1", { names: { mode: "serve", listen: "0.0.0.0:53" } });
}, 60_000);
afterAll(async () => {
  await lab.destroy();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const file = () => readFileSync(resolvConf, "latin1");
/** What the C library finds, by the host's own resolv.conf: `address name` or nothing. */
const getent = async (name: string, database = "ahosts"): Promise<string> => {
  const script = 'getent "$0" "$1" || true';
  return (await lab.host("usa-1").exec(["sh", "-c", script, database, name])).stdout;
};
const pointed = () =>
  until(
    () => members.status("usa-1"),
    (seen) => seen?.names.mode === "resolv.conf",
    15_000,
  );
/** Asks a server without a resolver: what it says, or that it says nothing. */
const ask = async (from: string, server: string, name: string): Promise<string> => {
  const script = `
    const { Resolver } = require("node:dns");
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([process.argv[1]]);
    resolver.resolve4(process.argv[2], (error, found) => console.log(error ? error.code : found.join()));`;
  return (await lab.host(from).exec([process.execPath, "-e", script, server, name])).stdout.trim();
};

it("gives the host's programs names for nodes, addresses for names, and all that they had before", async () => {
  const status = await pointed();
  expect(status?.names).toEqual({ zone: ZONE, mode: "resolv.conf", server: "127.0.0.74:53", problem: null });
  expect(await getent(`test-1.${ZONE}`)).toMatch(/^fd5a::2 .*\n(.*\n)*100\.96\.0\.2 /m);
  expect(await getent("test-1")).toContain("100.96.0.2"); // the zone is searched
  expect(await getent(`usa-1.${ZONE}`)).toContain("100.96.0.1");
  expect(await getent("100.96.0.2", "hosts")).toContain(`test-1.${ZONE}`);
  expect(await getent("fd5a::2", "hosts")).toContain(`test-1.${ZONE}`);
  expect(await getent(`test-2.${ZONE}`)).toBe("");
  expect(await getent("www.provider.example")).toContain("192.0.2.80");
  expect(await getent("www")).toContain("192.0.2.80"); // searched before the zone, as it was
  expect(await getent("nowhere.example")).toBe("");
}, 60_000);

it("answers a peer over the overlay and nobody else", async () => {
  const name = `usa-1.${ZONE}`;
  await until(
    () => members.status("usa-1"),
    (seen) => seen?.peers.direct === 1,
    15_000,
  );
  expect(await ask("usa-1", "100.96.0.2", name)).toBe("100.96.0.1");
  expect(await ask("usa-1", "100.96.0.2", "example.org")).toBe("EREFUSED");
  expect(await ask("test-1", "127.0.0.1", name)).toBe("100.96.0.1");
  expect(await ask("stranger-1", "203.0.113.41", name)).toBe("ETIMEOUT");
}, 60_000);

it("stays as it is when the agent is killed with -9, and neither points nor passes on twice when it is back", async () => {
  const before = file();
  await lab.supervisor.killHard("usa-1/agent", { stayDown: true });
  expect(file()).toBe(before);
  lab.supervisor.start("usa-1/agent");
  await pointed();
  expect(file()).toBe(before);
  expect(await getent(`test-1.${ZONE}`)).toContain("100.96.0.2");
  expect(await getent("www.provider.example")).toContain("192.0.2.80");
}, 60_000);

it("points back what somebody else wrote, and passes on to whom that names", async () => {
  writeFileSync(resolvConf, "nameserver 203.0.113.99\nnameserver 203.0.113.53\n");
  await until(
    () => file(),
    (text) => text.startsWith("# fabric-agent"),
    5_000,
  );
  expect(await getent(`test-1.${ZONE}`)).toContain("100.96.0.2");
  expect(await getent("www.provider.example")).toContain("192.0.2.80"); // by the second: the first is not there
  writeFileSync(resolvConf, ORIGINAL);
  await until(
    () => file(),
    (text) => text.startsWith("# fabric-agent"),
    5_000,
  );
}, 60_000);

it("is what it was, byte for byte, when the agent ends", async () => {
  await lab.supervisor.stop("usa-1/agent");
  expect(file()).toBe(ORIGINAL);
  expect(await getent("www.provider.example")).toContain("192.0.2.80");
}, 60_000);

it("is put back by the next agent even if that may not touch it any more", async () => {
  lab.supervisor.start("usa-1/agent");
  await pointed();
  await lab.supervisor.killHard("usa-1/agent", { stayDown: true });
  expect(file()).not.toBe(ORIGINAL);
  const config = path.join(lab.host("usa-1").directory, "agent.json");
  const settings = JSON.parse(readFileSync(config, "utf8")) as object;
  writeFileSync(config, JSON.stringify({ ...settings, names: { mode: "auto" } }));
  lab.supervisor.start("usa-1/agent");
  const status = await until(
    () => members.status("usa-1"),
    (seen) => seen?.names.problem !== null && seen !== null,
    15_000,
  );
  expect(file()).toBe(ORIGINAL);
  expect(status?.names).toMatchObject({ zone: ZONE, mode: null, problem: { code: "NAMES_UNUSED" } });
}, 60_000);

it("has no names any more when the snapshot has run out, and the host has its own back", async () => {
  await lab.supervisor.stop("usa-1/agent");
  const config = path.join(lab.host("usa-1").directory, "agent.json");
  const settings = JSON.parse(readFileSync(config, "utf8")) as object;
  writeFileSync(config, JSON.stringify({ ...settings, names: { mode: "resolv.conf" } }));
  await members.leaveSnapshot("usa-1", 8);
  lab.supervisor.start("usa-1/agent");
  await pointed();
  expect(file()).not.toBe(ORIGINAL);
  const status = await until(
    () => members.status("usa-1"),
    (seen) => seen?.state === "expired" && seen.names.mode === null,
    20_000,
  );
  expect(status?.names.zone).toBeNull();
  expect(file()).toBe(ORIGINAL);
}, 60_000);
