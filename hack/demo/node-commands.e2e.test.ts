/**
 * `fabric netcheck`, `smoke` and `bundle` on a real node behind NAT, with a real operator, a peer on the open network and a real API server;
 * and no secret of any of them in the bundle.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bundled } from "../images/bundle.ts";
import { programPaths } from "../lab/programs.ts";
import { setStage, type Stage } from "./stage.ts";
import { until } from "./wait.ts";

const NODES = ["home-a", "usa-1"] as const;
let stage: Stage;

beforeAll(async () => {
  stage = await setStage();
  await stage.applyApi();
  await stage.startOperator();
  await until(
    "the Cluster is Ready",
    async () =>
      (await stage.cluster()).status?.conditions?.some(
        ({ type, status }) => type === "Ready" && status === "True",
      ) || undefined,
    { timeoutMs: 30_000 },
  );
  await stage.makeToken();
  for (const name of NODES) {
    await stage.node(name).boot();
    await stage.node(name).join(stage.tokenFile(), stage.rolesOf(name));
    await stage.node(name).hasState("pending", 20_000);
    await stage.fabric("approve", name);
  }
  for (const name of NODES) await stage.node(name).hasState("running", 30_000);
  await until(
    "they have found each other",
    async () => (await stage.node("home-a").peers()).length === 1 || undefined,
    {
      timeoutMs: 20_000,
    },
  );
}, 120_000);
afterAll(() => stage?.[Symbol.asyncDispose](), 60_000);

const fabric = async (...args: string[]): Promise<string> => {
  const { apiSocket } = programPaths(stage.lab.host("home-a"), "agent");
  const command = [process.execPath, bundled("fabric"), "--socket", apiSocket, ...args];
  return (
    await stage.lab.host("home-a").exec(command, { env: { KUBECONFIG: stage.controlPlane.kubeconfig } })
  ).stdout;
};

it("netcheck sees the NAT, the operator and the peer", async () => {
  const report = JSON.parse(await fabric("-o", "json", "netcheck")) as Record<string, never>;
  expect(report).toMatchObject({
    mapped: { endpoint: expect.stringMatching(/^203\.0\.113\.10:\d+$/), nat: expect.stringMatching(/^port/) },
    families: { ipv4: { addresses: ["192.168.77.11"] } },
    operator: { connected: true, via: expect.stringMatching(/^203\.0\.113\.5:/) },
    peers: [{ name: "usa-1", session: "ready", family: "ipv4" }],
  });
}, 30_000);

it("smoke passes: engine, snapshot, operator, the peer by both families, names", async () => {
  const findings = JSON.parse(await fabric("-o", "json", "smoke")) as { what: string; result: string }[];
  const failed = findings.filter(({ result }) => result === "fail");
  expect(failed).toEqual([]);
  expect(findings.map(({ what }) => what)).toContain("peer usa-1");
}, 30_000);

it("smoke fails, and says on what, when a peer is gone", async () => {
  await stage.lab.supervisor.killHard("usa-1/engine", { stayDown: true });
  await until(
    "the session ends",
    async () => (await stage.node("home-a").peers()).length === 0 || undefined,
    {
      timeoutMs: 20_000,
    },
  );
  await expect(fabric("smoke")).rejects.toThrow(/SMOKE_FAILED: failed: peer usa-1/);
  stage.lab.supervisor.start("usa-1/engine");
}, 40_000);

it("the bundle has no secret of the lab in it", async () => {
  const file = join(stage.lab.directory, "bundle.tar.gz");
  const namespace = ["-n", "home"];
  await stage.lab.openDoor("home-a", Number(new URL(stage.controlPlane.url).port));
  await fabric(...namespace, "bundle", "--cluster", "--file", file);
  const { stdout: text } = await stage.lab.host("home-a").exec(["tar", "-xzOf", file]);
  expect(text).toContain('"nodeName": "home-a"');
  const { stdout: names } = await stage.lab.host("home-a").exec(["tar", "-tzf", file]);
  expect(names).toContain("fabric-bundle/cluster/fabricnodes.json");
  expect(names).not.toContain("failed");
  for (const [what, secret] of await secretsOf()) {
    expect(secret.length).toBeGreaterThan(11);
    if (text.includes(secret)) throw new Error(`the bundle has ${what} in it`);
  }
}, 60_000);

/** Everything in this lab that nobody else may know. */
async function secretsOf(): Promise<readonly (readonly [string, string])[]> {
  const lines = (text: string): string[] =>
    text.split("\n").filter((line) => line.length > 40 && !line.startsWith("--"));
  const keys = [
    programPaths(stage.lab.host("home-a"), "agent").keyFile,
    programPaths(stage.lab.host("control"), "operator").keyFile,
  ];
  const authority = JSON.parse(await stage.kubectl("get", "secret", "fabric-authority", "-o", "json")) as {
    data: Record<string, string>;
  };
  const hash = JSON.parse(await stage.kubectl("get", "jointokens", "-o", "json")) as {
    items: { spec: { tokenHash?: string; hash?: string } }[];
  };
  const kubeconfig = readFileSync(stage.controlPlane.kubeconfig, "utf8");
  return [
    ["the join token", stage.tokenSecret()],
    ...hash.items.flatMap(({ spec }) => {
      const text = Object.values(spec).find(
        (value) => typeof value === "string" && value.startsWith("sha256:"),
      );
      return text ? [["a token's hash", text.split(":")[2] ?? text] as const] : [];
    }),
    ...keys.flatMap((path) => lines(readFileSync(path, "utf8")).map((line) => [path, line] as const)),
    ...Object.entries(authority.data)
      .filter(([name]) => /key/i.test(name) && !/id/i.test(name))
      .flatMap(([name, value]) =>
        lines(Buffer.from(value, "base64").toString("utf8")).map(
          (line) => [`the authority's ${name}`, line] as const,
        ),
      ),
    ...[...kubeconfig.matchAll(/(?:token|client-key-data): *"?([A-Za-z0-9+/=._-]{20,})/g)].map(
      ([, value = ""]) => ["the kubeconfig's", value.slice(0, 200)] as const,
    ),
  ];
}
