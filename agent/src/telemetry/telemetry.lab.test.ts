/**
 * What monitoring sees of a real node: two members with real engines and no operator, asked over HTTP on an address of their own, as
 * a kubelet and a Prometheus do.
 *
 *   left 10.73.1.1 ── lan ── 10.73.1.2 right
 */
import { readFileSync } from "node:fs";
import { readOpenMetrics, type Family } from "@saf/telemetry/testing";
import { watchPings } from "../../../hack/demo/ping-watch.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { createMembers, type Members } from "../lab/members.ts";
import { until } from "../testing/until.ts";

const topology: Topology = {
  networks: { lan: { gateways: ["10.73.1.254/24"] } },
  routers: {},
  hosts: {
    left: { network: "lan", address: "10.73.1.1/24", gateway: "10.73.1.254" },
    right: { network: "lan", address: "10.73.1.2/24", gateway: "10.73.1.254" },
  },
};
const NAMES = ["left", "right"] as const;
const PORT = 9743;
/** What docs/observability.md promises of an agent as it is shipped, in one file. */
const MAX_AGENT_RSS_BYTES = 120e6;

let members: Members;
beforeAll(async () => {
  members = await createMembers(topology, NAMES);
  for (const name of NAMES) {
    const { address } = members.lab.host(name);
    members.boot(name, { telemetry: { listen: `${address}:${PORT}` } });
  }
}, 60_000);
afterAll(async () => {
  await members.lab.destroy();
}, 60_000);

/** Asks from the other host, as monitoring does. */
async function ask(path: string): Promise<{ status: number; body: string }> {
  const script = `const r = await fetch(process.argv[1]); console.log(r.status); process.stdout.write(await r.text());`;
  const url = `http://${members.lab.host("left").address}:${PORT}${path}`;
  const { stdout } = await members.lab
    .host("right")
    .exec([process.execPath, "--input-type=module", "-e", script, url]);
  const [status = "", ...lines] = stdout.split("\n");
  return { status: Number(status), body: lines.join("\n") };
}
const ready = async () => {
  const { status, body } = await ask("/readyz");
  return { status, ...(JSON.parse(body) as { ok: boolean; state: string; reason: string | null }) };
};
const scrape = async (): Promise<ReadonlyMap<string, Family>> =>
  readOpenMetrics((await ask("/metrics")).body);
const value = (families: ReadonlyMap<string, Family>, name: string, labels: object = {}): number =>
  (families.get(name)?.samples ?? [])
    .filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted))
    .reduce((sum, sample) => sum + sample.value, 0);
const pinged = async (): Promise<void> => {
  const pings = await watchPings([
    { from: members.lab.host("left"), address: members.addressesOf("right").ipv4 },
  ]);
  await pings.stop();
};

it("is ready when it lives by a snapshot, and says that the operator is not heard", async () => {
  const asked = () => ready().catch(() => null); // it may not listen yet
  expect(await until(asked, (answer) => answer?.ok === true, 20_000)).toEqual({
    status: 200,
    ok: true,
    state: "degraded",
    reason: "OPERATOR_UNHEARD",
  });
  expect((await ask("/livez")).status).toBe(200);
}, 30_000);

it("counts packets by class, and goes on counting over a restart of the engine", async () => {
  await pinged();
  const before = await until(
    scrape,
    (seen) => value(seen, "fabric_engine_packets", { direction: "sent" }) > 0,
    15_000,
  );
  const sent = value(before, "fabric_engine_packets", { direction: "sent" });
  expect(value(before, "fabric_agent_state", { state: "degraded" })).toBe(1);
  expect(value(before, "fabric_engine_peers", { session: "ready" })).toBe(1);
  expect(value(before, "fabric_engine_path_rtt_seconds", { statistic: "median" })).toBeGreaterThan(0);
  expect(value(before, "fabric_agent_session_events", { kind: "peer", event: "ready" })).toBeGreaterThan(0);
  const started = value(before, "fabric_engine_start_time_seconds");

  await members.lab.supervisor.killHard("left/engine");
  const back = await until(
    scrape,
    (seen) => value(seen, "fabric_engine_start_time_seconds") > started,
    15_000,
  );
  expect(value(back, "fabric_engine_packets", { direction: "sent" })).toBeGreaterThanOrEqual(sent);
  await pinged();
  await until(scrape, (seen) => value(seen, "fabric_engine_packets", { direction: "sent" }) > sent, 15_000);
}, 60_000);

it("is not ready without its engine, and is alive all the same", async () => {
  await members.lab.supervisor.stop("left/engine");
  expect(await until(ready, ({ ok }) => !ok, 15_000)).toMatchObject({
    status: 503,
    state: "degraded",
    reason: "ENGINE_UNREACHABLE",
  });
  expect((await ask("/livez")).status).toBe(200);
  await until(scrape, (seen) => value(seen, "fabric_engine_up") === 0, 5000); // an answer is a second old at most
  members.lab.supervisor.start("left/engine");
  await until(ready, ({ ok }) => ok, 15_000);
}, 60_000);

it("takes no more memory than an agent may, however often it is asked", async () => {
  for (let round = 0; round < 5; round += 1) {
    const before = value(await scrape(), "process_cpu_seconds");
    await until(scrape, (seen) => value(seen, "process_cpu_seconds") > before, 5000); // a collection of its own
  }
  const rss = value(await scrape(), "process_resident_memory_bytes");
  expect(rss).toBeGreaterThan(30e6);
  expect(rss).toBeLessThan(MAX_AGENT_RSS_BYTES);
}, 30_000);

it("has neither keys nor tokens in its log", () => {
  for (const name of NAMES) {
    const log = readFileSync(`${members.lab.directory}/logs/${name}.agent.log`, "utf8");
    expect(log).toContain('"session ready"');
    expect(log).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE|saf1\.|eyJ[A-Za-z0-9_-]{20}/);
  }
});
