/** The cluster's side of `fabric` on a real API server: what is written there, who is written as, and the exit codes. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { parseToken, verifySecret } from "@saf/protocol";
import { artifacts } from "../../../hack/bootstrap/artifacts.ts";
import { type ControlPlane, startControlPlane } from "../../../hack/control-plane/control-plane.ts";
import { EXIT } from "../errors.ts";
import { runFabric } from "../program.ts";

const NAMESPACE = "home";
const PIN = "p".repeat(43);
const manifests = join(import.meta.dirname, "../../../crds/manifests");
const run = promisify(execFile);

let controlPlane: ControlPlane;
const kubeconfigs = new Map<string, string>();

async function kubectl(...args: string[]): Promise<string> {
  const { stdout } = await run(artifacts().kubectl, [
    "--kubeconfig",
    controlPlane.kubeconfig,
    "-n",
    NAMESPACE,
    ...args,
  ]);
  return stdout;
}

async function apply(kind: string, name: string, spec: object, status?: object): Promise<void> {
  const text = JSON.stringify({ apiVersion: "fabric.saf.dev/v1alpha1", kind, metadata: { name }, spec });
  const child = run(artifacts().kubectl, [
    "--kubeconfig",
    controlPlane.kubeconfig,
    "-n",
    NAMESPACE,
    "apply",
    "-f",
    "-",
  ]);
  child.child.stdin?.end(text);
  await child;
  if (status !== undefined) await setStatus(kind, name, status);
}

async function setStatus(kind: string, name: string, status: object): Promise<void> {
  await kubectl(
    "patch",
    kind,
    name,
    "--subresource=status",
    "--type=merge",
    "-p",
    JSON.stringify({ status }),
  );
}

async function read(kind: string, name: string): Promise<{ spec: Record<string, unknown> }> {
  return JSON.parse(await kubectl("get", kind, name, "-o", "json")) as { spec: Record<string, unknown> };
}

async function fabricAs(user: string, ...args: string[]) {
  const out = { stdout: "", stderr: "", code: -1 };
  out.code = await runFabric(["--kubeconfig", kubeconfigs.get(user) ?? "", "-n", NAMESPACE, ...args], {
    terminal: { stdout: (text) => (out.stdout += text), stderr: (text) => (out.stderr += text) },
    now: () => Math.floor(Date.now() / 1000),
  });
  return out;
}

const fabric = (...args: string[]) => fabricAs("alice", ...args);

const command = (text: string) => text.split(" ");

const cluster = {
  trustDomain: "lab.example",
  addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  endpoints: { enrolment: ["https://127.0.0.1:8443"], control: ["127.0.0.1:7443"] },
};
const request = (nodeName: string, fill: string) => ({
  nodeName,
  fingerprint: fill.repeat(64),
  tokenName: "rack-7",
  requestedRoles: [],
  facts: {},
  capabilities: { protocolVersions: ["saf/1"] },
  candidates: [],
  attestation: { type: "JoinToken" },
});

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false, users: ["bob", "nobody"] });
  for (const user of ["alice", "bob", "nobody"])
    kubeconfigs.set(user, await controlPlane.kubeconfigFor(user));
  await kubectl("create", "namespace", NAMESPACE);
  await kubectl("apply", "-f", manifests);
  await kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all");
  const resources = "clusters,fabricnodes,jointokens,joinrequests".replaceAll(/\w+/g, "$&.fabric.saf.dev");
  await kubectl("create", "clusterrole", "owner", "--verb=*", `--resource=${resources}`);
  await kubectl("create", "clusterrolebinding", "owner", "--clusterrole=owner", "--user=alice", "--user=bob");
}, 120_000);

afterAll(async () => {
  await controlPlane.stop();
});

describe("fabric token", () => {
  it("says what is missing while there is no cluster, or no authority yet", async () => {
    expect(await fabric("token", "create")).toMatchObject({
      code: EXIT.notFound,
      stderr: expect.stringContaining("CLUSTER_NOT_FOUND"),
    });
    await apply("Cluster", "home", cluster);
    expect(await fabric("token", "create")).toMatchObject({
      code: EXIT.failure,
      stderr: expect.stringContaining("AUTHORITY_NOT_READY"),
    });
    await setStatus("cluster", "home", { authority: { caPin: PIN } });
  });

  it("stores the salted hash of what it prints once", async () => {
    const made = await fabric(
      ...command("token create --name rack-7 --uses 10 --expires 2h --area usa --role relay --role observer"),
    );
    expect(made.code).toBe(EXIT.ok);
    const parsed = parseToken(made.stdout);
    expect(parsed).toMatchObject({ id: "rack-7", pin: PIN });
    expect(made.stderr).toContain("for 10 hosts, expires in ");
    const { spec } = await read("jointoken", "rack-7");
    expect(spec).toMatchObject({
      maxUses: 10,
      allowedRoles: ["relay", "observer"],
      area: "usa",
      revoked: false,
    });
    expect(verifySecret(String(spec["tokenHash"]), parsed.secret)).toBe(true);
    expect(JSON.stringify(spec)).not.toContain(parsed.secret);
    const lifetimeSeconds = (Date.parse(String(spec["expiresAt"])) - Date.now()) / 1000;
    expect(lifetimeSeconds).toBeGreaterThan(7200 - 60);
    expect(lifetimeSeconds).toBeLessThanOrEqual(7200);
  });

  it("refuses a name that is taken", async () => {
    expect(await fabric("token", "create", "--name", "rack-7")).toMatchObject({
      code: EXIT.failure,
      stderr: expect.stringContaining("already exists"),
    });
  });

  it("lists tokens with what became of them, and as JSON", async () => {
    const made = await fabric("token", "create", "-o", "json");
    const { name } = JSON.parse(made.stdout) as { name: string };
    const expired = {
      type: "Ready",
      status: "False",
      reason: "Expired",
      message: "",
      lastTransitionTime: "2026-11-21T00:00:00Z",
    };
    await setStatus("jointoken", name, { uses: 1, conditions: [expired] });
    const { stdout } = await fabric("token", "list");
    expect(stdout).toMatch(new RegExp(`^${name} +Expired +1/1 `, "m"));
    expect(stdout).toMatch(/^rack-7 +Unknown +0\/10 +in (2h|1h59m) +relay,observer +usa$/m);
    expect(JSON.parse((await fabric("token", "list", "-o", "json")).stdout)).toHaveLength(2);
  });

  it("revokes, and says when there is nothing to revoke", async () => {
    expect(await fabric("token", "revoke", "rack-7")).toMatchObject({ code: EXIT.ok });
    expect((await read("jointoken", "rack-7")).spec).toMatchObject({ revoked: true });
    expect(await fabric("token", "revoke", "rack-8")).toMatchObject({
      code: EXIT.notFound,
      stderr: 'fabric: NOT_FOUND: no jointoken "rack-8" in namespace home\n',
    });
  });

  it("ends with 4 for somebody without the right", async () => {
    const { code, stderr } = await fabricAs("nobody", "token", "list");
    expect(code).toBe(EXIT.denied);
    expect(stderr).toMatch(/^fabric: FORBIDDEN: .*nobody.*\n$/);
  });
});

describe("fabric approve and reject", () => {
  const name = "home-a-aaaaaaaa";
  const approvals = async () => (await read("joinrequest", name)).spec["approvals"];

  beforeEach(async () => {
    await kubectl("delete", "joinrequests", "--all");
    await apply("JoinRequest", name, request("home-a", "a"));
  });

  it("writes the caller's own entry, by the node's name, and keeps everybody else's", async () => {
    const { code, stdout } = await fabric("approve", "home-a", "--reason", "mine");
    expect({ code, stdout }).toEqual({ code: EXIT.ok, stdout: `home-a approved as alice (${name})\n` });
    expect((await fabricAs("bob", "reject", name, "--reason", "not mine")).code).toBe(EXIT.ok);
    const bobs = { user: "bob", decision: "Deny", reason: "not mine" };
    expect(await approvals()).toEqual([{ user: "alice", decision: "Approve", reason: "mine" }, bobs]);
    expect((await fabric("reject", "home-a", "--reason", "changed my mind")).code).toBe(EXIT.ok);
    expect(await approvals()).toEqual([{ user: "alice", decision: "Deny", reason: "changed my mind" }, bobs]);
  });

  it("changes an entry that kubectl wrote", async () => {
    const patch = JSON.stringify({ spec: { approvals: [{ user: "alice", decision: "Deny" }] } });
    await kubectl(
      "patch",
      "jr",
      name,
      "--type=merge",
      "-p",
      patch,
      "--kubeconfig",
      kubeconfigs.get("alice") ?? "",
    );
    expect((await fabric("approve", name)).code).toBe(EXIT.ok);
    expect(await approvals()).toEqual([{ user: "alice", decision: "Approve" }]);
  });

  it("is content when it was decided so, and refuses when it was decided otherwise", async () => {
    await setStatus("joinrequest", name, { decision: "Approved", decidedBy: "bob" });
    expect(await fabric("approve", "home-a")).toMatchObject({
      code: EXIT.ok,
      stdout: `home-a was already approved by bob (${name})\n`,
    });
    expect(await fabric("reject", "home-a", "--reason", "late")).toMatchObject({
      code: EXIT.failure,
      stderr: expect.stringMatching(/ALREADY_DECIDED: .* approved by bob/),
    });
    expect(await approvals()).toBeUndefined();
  });

  it("asks which one is meant when two hosts want the same name", async () => {
    await apply("JoinRequest", "home-a-bbbbbbbb", request("home-a", "b"));
    const { code, stderr } = await fabric("approve", "home-a");
    expect(code).toBe(EXIT.failure);
    expect(stderr).toMatch(/AMBIGUOUS: .*home-a-aaaaaaaa, home-a-bbbbbbbb/);
    await setStatus("joinrequest", "home-a-bbbbbbbb", { decision: "Denied", decidedBy: "bob" });
    expect((await fabric("approve", "home-a")).code).toBe(EXIT.ok);
  });

  it("lists pending requests first, and only them when asked", async () => {
    await apply("JoinRequest", "home-b-bbbbbbbb", request("home-b", "b"));
    await setStatus("joinrequest", name, { decision: "Denied", decidedBy: "bob", reason: "who?" });
    const lines = (await fabric("requests")).stdout.split("\n");
    expect(lines[1]).toMatch(/^home-b-bbbbbbbb +home-b +Pending +- +b{16} +rack-7 /);
    expect(lines[2]).toMatch(/^home-a-aaaaaaaa +home-a +Denied +bob +a{16} +rack-7 +- +who\? /);
    const only = JSON.parse((await fabric("requests", "--pending", "-o", "json")).stdout) as unknown[];
    expect(only).toHaveLength(1);
  });

  it("ends with 3 for a request that nobody made, and 4 for somebody without the right", async () => {
    expect(await fabric("approve", "stranger")).toMatchObject({ code: EXIT.notFound });
    expect(await fabricAs("nobody", "approve", "home-a")).toMatchObject({ code: EXIT.denied });
  });
});

describe("the way to the API server", () => {
  it("ends with 2 for a kubeconfig or context that is not there", async () => {
    expect(await fabric("requests", "--kubeconfig", "/nowhere")).toMatchObject({ code: EXIT.usage });
    expect(await fabric("requests", "--context", "nowhere")).toMatchObject({ code: EXIT.usage });
  });

  it("ends with 5 while it is away", async () => {
    await controlPlane.pause();
    const { code, stderr } = await fabric("requests");
    expect(code).toBe(EXIT.unreachable);
    expect(stderr).toContain("ECONNREFUSED");
    await controlPlane.resume();
    await answers();
  });
});

async function answers(): Promise<void> {
  const deadline = Date.now() + 20_000;
  while ((await fabric("requests")).code !== EXIT.ok) {
    if (Date.now() > deadline) throw new Error("the API server did not come back");
    await delay(100);
  }
}

it("is kubectl's plugin too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fabric-plugin-"));
  try {
    symlinkSync(join(import.meta.dirname, "../main.ts"), join(folder, "kubectl-fabric"));
    const path = [folder, dirname(process.execPath), process.env["PATH"]].join(":");
    const env = { ...process.env, PATH: path, KUBECONFIG: controlPlane.kubeconfig };
    const asPlugin = (...args: string[]) => run(artifacts().kubectl, ["fabric", ...args], { env });
    const listed = await asPlugin("token", "list", "-n", NAMESPACE, "-o", "json");
    expect(Array.isArray(JSON.parse(listed.stdout))).toBe(true);
    await expect(asPlugin("token", "revoke", "nobody", "-n", NAMESPACE)).rejects.toMatchObject({
      code: EXIT.notFound,
      stderr: expect.stringContaining("NOT_FOUND") as string,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 30_000);
