/**
 * The DaemonSet's pod without a kubelet: the real agent and engine with the users, groups, capabilities, mounts and files that the chart
 * gives them, on a host that is a member already, beside an ordinary one. Who may read and write what is what this is about.
 */
import { chownSync, cpSync, readdirSync, statSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { StatusView } from "@saf/agent";
import { loadAll } from "js-yaml";
import { createMembers, type Members } from "../../agent/src/lab/members.ts";
import { until } from "../../agent/src/testing/until.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../bootstrap/lazy-tools.ts";
import { programPaths } from "../lab/programs.ts";
import type { Topology } from "../lab/topology.ts";
import { render, succeed } from "./helm.ts";
import { createPod, type Pod, type PodSpec } from "./pod.ts";

const topology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24", "198.51.100.1/24"] } },
  routers: {},
  hosts: {
    "usa-1": { network: "internet", address: "198.51.100.21/24", gateway: "198.51.100.1" },
    "test-1": { network: "internet", address: "203.0.113.41/24", gateway: "203.0.113.1" },
  },
};
const AGENT = 65532;

let members: Members;
let pod: Pod;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
}

beforeAll(async () => {
  buildLazily("helm");
  members = await createMembers(topology, ["usa-1", "test-1"]);
  const { lab } = members;
  const rendered = loadAll(await succeed(render({ crds: { install: false } }))) as Manifest[];
  const find = (kind: string): Manifest => {
    const found = rendered.find((object) => object.kind === kind && object.metadata.name === "fabric-agent");
    if (!found) throw new Error(`the chart renders no ${kind} fabric-agent`);
    return found;
  };
  const spec = find("DaemonSet").spec?.template.spec;
  if (!spec) throw new Error("the DaemonSet has no template");
  pod = createPod({
    lab,
    host: lab.host("usa-1"),
    spec,
    files: {
      config: find("ConfigMap").data ?? {},
      trust: { pin: "p".repeat(43), "ca.crt": "" },
      token: { token: "of no use to a member" },
    },
    variables: { NODE_NAME: "usa-1" },
  });
  members.boot("test-1");
}, LAZY_BUILD_TIMEOUT_MS);

afterAll(async () => {
  await members?.lab.destroy();
}, 60_000);

const ownerOf = (path: string): string => {
  const { uid, gid, mode } = statSync(path);
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
};

it("the init container makes the node's folders, each with its owner, and a second run changes nothing", async () => {
  const state = pod.volume("state");
  for (const time of ["first", "second"]) {
    await pod.initialize("state");
    expect({ time, agent: ownerOf(join(state, "agent")), engine: ownerOf(join(state, "engine")) }).toEqual({
      time,
      agent: `${AGENT}:${AGENT} 750`,
      engine: "0:0 700",
    });
  }
});

it("agent and engine find each other, the engine reads the key, and packets cross", async () => {
  const { lab } = members;
  const home = join(pod.volume("state"), "agent");
  cpSync(programPaths(lab.host("usa-1"), "agent").stateDir, home, { recursive: true });
  for (const path of ["", ...(readdirSync(home, { recursive: true }) as string[])])
    chownSync(join(home, path), AGENT, AGENT);
  pod.start("engine");
  pod.start("agent");
  await until(
    () => status().catch(() => null),
    (seen) => seen?.state === "degraded" && seen.engine.connected, // by its last snapshot: there is no operator here
    20_000,
  );
  expect(ownerOf(join(home, "identity/node.key"))).toBe(`${AGENT}:${AGENT} 640`);
  expect(ownerOf(join(pod.volume("run"), "engine.sock"))).toBe(`0:${AGENT} 660`);
  const ping = ["ping", "-n", "-c", "1", "-i", "0.2", "-w", "15", members.addressesOf("test-1").ipv6];
  expect((await lab.host("usa-1").exec(ping)).stdout).toContain(" received");
}, 60_000);

it("the engine that is told to end takes its interface along", async () => {
  const { lab } = members;
  expect((await lab.host("usa-1").exec(["ip", "-o", "link"])).stdout).toContain("fabric0");
  await lab.supervisor.stop("usa-1/pod-agent");
  await lab.supervisor.stop("usa-1/pod-engine");
  expect((await lab.host("usa-1").exec(["ip", "-o", "link"])).stdout).not.toContain("fabric0");
}, 30_000);

function status(): Promise<StatusView> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: join(pod.volume("run"), "agent.sock"), path: "/v1/status" },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(JSON.parse(text) as StatusView));
      },
    );
    outgoing.on("error", reject).end();
  });
}
