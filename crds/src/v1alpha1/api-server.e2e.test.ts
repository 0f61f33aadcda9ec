/**
 * The kinds on a real API server: manifests and examples are accepted, bad objects are refused by schema and CEL, only the
 * person themselves can decide in their name, and kubectl shows it all well.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { artifacts } from "../../../hack/bootstrap/artifacts.ts";
import { type ControlPlane, startControlPlane } from "../../../hack/control-plane/control-plane.ts";

const crdsDir = join(import.meta.dirname, "../..");
const NAMESPACE = "home";
const APPROVALS = "spec.approvals";

let controlPlane: ControlPlane;
const kubeconfigs = new Map<string, string>();

interface Answer {
  code: number | null;
  stdout: string;
  stderr: string;
}

function kubectl(args: readonly string[], options: { user?: string; input?: object } = {}): Promise<Answer> {
  const kubeconfig = kubeconfigs.get(options.user ?? "admin") ?? "";
  const child = spawn(artifacts().kubectl, ["--kubeconfig", kubeconfig, "-n", NAMESPACE, ...args]);
  const answer: Answer = { code: null, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (answer.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (answer.stderr += chunk.toString()));
  child.stdin.end(options.input ? JSON.stringify(options.input) : "");
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...answer, code }));
  });
}

async function ok(answer: Promise<Answer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

async function refusal(answer: Promise<Answer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  if (code === 0) throw new Error(`accepted: ${stdout}`);
  return stderr;
}

const create = (input: object, user?: string) =>
  kubectl(["create", "-f", "-"], { input, ...(user ? { user } : {}) });

const patch = (
  target: string,
  change: object | object[],
  options: { user?: string; status?: boolean } = {},
) =>
  kubectl(
    [
      "patch",
      ...target.split("/"),
      `--type=${Array.isArray(change) ? "json" : "merge"}`,
      `--patch=${JSON.stringify(change)}`,
      ...(options.status ? ["--subresource=status"] : []),
    ],
    options.user ? { user: options.user } : {},
  );

function object(kind: string, name: string, spec: object): object {
  return { apiVersion: "fabric.saf.dev/v1alpha1", kind, metadata: { name }, spec };
}

const cluster = {
  trustDomain: "lab.example",
  addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  endpoints: { enrolment: ["https://127.0.0.1:8443"], control: ["127.0.0.1:7443"] },
};
const node = { nodeId: "3b1c2f0e-7d7a-4d55-9a3e-0f6f4f2a9c11", fingerprint: "ab".repeat(32) };
const token = { tokenHash: `sha256:${"s".repeat(22)}:${"h".repeat(43)}`, expiresAt: "2030-01-01T00:00:00Z" };
const pod = {
  namespace: "home",
  name: "agent-x7",
  uid: "0d9c",
  serviceAccount: "fabric-agent",
  audience: "fabric-enrolment",
  node: "worker-1",
  source: "192.0.2.7",
  fromNode: true,
};
const request = {
  nodeName: "usa-3",
  fingerprint: "cd".repeat(32),
  tokenName: "rack-7",
  requestedRoles: ["relay"],
  facts: { hostname: "usa-3", cpus: 2 },
  capabilities: { protocolVersions: ["saf/1"] },
  candidates: ["198.51.100.7:7443"],
  attestation: { type: "JoinToken" },
};

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false, users: ["bob"] });
  kubeconfigs.set("admin", controlPlane.kubeconfig);
  for (const user of ["alice", "bob"]) kubeconfigs.set(user, await controlPlane.kubeconfigFor(user));
  await ok(kubectl(["create", "namespace", NAMESPACE]));
  await ok(kubectl(["apply", "-f", join(crdsDir, "manifests")]));
  await ok(kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]));
  await ok(
    create({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "fabric-owner" },
      rules: [{ apiGroups: ["fabric.saf.dev"], resources: ["*"], verbs: ["*"] }],
    }),
  );
  await ok(
    kubectl([
      "create",
      "clusterrolebinding",
      "o",
      "--clusterrole=fabric-owner",
      "--user=alice",
      "--user=bob",
    ]),
  );
  await policyInForce();
}, 120_000);

afterAll(async () => {
  await controlPlane.stop();
});

/** The API server learns of a new policy through a watch, a moment after it was made. */
async function policyInForce(): Promise<void> {
  const forged = object("JoinRequest", "probe", {
    ...request,
    approvals: [{ user: "bob", decision: "Approve" }],
  });
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { code } = await kubectl(["create", "--dry-run=server", "-f", "-"], {
      user: "alice",
      input: forged,
    });
    if (code !== 0) return;
    if (Date.now() > deadline) throw new Error("the admission policy did not come into force");
    await delay(100);
  }
}

describe("manifests and examples", () => {
  it("accepts every example, and applying them again changes nothing", async () => {
    const directory = join(crdsDir, "examples");
    expect(await ok(kubectl(["apply", "-f", directory]))).toContain(
      "joinrequest.fabric.saf.dev/usa-2-60303ae2 created",
    );
    const again = (await ok(kubectl(["apply", "-f", directory]))).trim().split("\n");
    expect(again.every((line) => line.endsWith(" unchanged"))).toBe(true);
    await ok(kubectl(["delete", "-f", directory]));
  });

  it("fills in defaults", async () => {
    await ok(create(object("Cluster", "defaults", cluster)));
    const spec = JSON.parse(
      await ok(kubectl(["get", "fcl", "defaults", "-o", "jsonpath={.spec}"])),
    ) as object;
    expect(spec).toEqual({
      ...cluster,
      reachability: "None",
      certificates: { nodeLifetimeSeconds: 86_400 },
      documents: { snapshotLifetimeSeconds: 43_200 },
      tunnel: { mtu: 1280 },
      dns: { domain: "fabric.internal" },
    });
    await ok(kubectl(["delete", "fcl", "defaults"]));
  });
});

describe("objects that are refused when they are made", () => {
  const pools = (change: object) => ({ ...cluster, addressPools: { ...cluster.addressPools, ...change } });
  const endpoints = (change: object) => ({ ...cluster, endpoints: { ...cluster.endpoints, ...change } });
  const account = { name: "fabric-agent", namespace: "home" };
  const accounts = (change: object) => ({
    ...cluster,
    enrolment: { serviceAccounts: [{ ...account, ...change }] },
  });
  const rules = (rule: object) => ({ ...cluster, trafficRules: [rule] });
  it.each<[why: string, kind: string, name: string, spec: object, message: string]>([
    [
      "pool with host bits",
      "Cluster",
      "c",
      pools({ ipv4: "100.96.0.1/16" }),
      "without host bits, e.g. 100.96.0.0/16, which 100.96.0.1/16 is not",
    ],
    ["IPv6 pool for IPv4", "Cluster", "c", pools({ ipv4: "fd5a::/64" }), "must be an IPv4 CIDR"],
    ["pool of one address", "Cluster", "c", pools({ ipv4: "100.96.0.0/31" }), "between 8 and 30"],
    ["pool of the whole internet", "Cluster", "c", pools({ ipv6: "::/0" }), "between 16 and 120"],
    ["enrolment without TLS", "Cluster", "c", endpoints({ enrolment: ["http://h:8443"] }), "enrolment"],
    ["control by name", "Cluster", "c", endpoints({ control: ["operator.example:7443"] }), "control"],
    ["no endpoint", "Cluster", "c", endpoints({ control: [] }), "at least 1"],
    ["nine endpoints", "Cluster", "c", endpoints({ control: Array(9).fill("127.0.0.1:7443") }), "at most 8"],
    ["trust domain with capitals", "Cluster", "c", { ...cluster, trustDomain: "Lab" }, "trustDomain"],
    ["unknown reachability", "Cluster", "c", { ...cluster, reachability: "All" }, "Unsupported value"],
    ["small MTU", "Cluster", "c", { ...cluster, tunnel: { mtu: 1279 } }, "greater than or equal to 1280"],
    ["short certificate", "Cluster", "c", { ...cluster, certificates: { nodeLifetimeSeconds: 119 } }, "120"],
    ["name with a dot", "Cluster", "a.b", cluster, "no dots; e.g. a-b"],
    ["domain with capitals", "Cluster", "c", { ...cluster, dns: { domain: "Fabric" } }, "domain"],
    ["rule of no class", "Cluster", "c", rules({}), "class: Required"],
    ["rule of another class", "Cluster", "c", rules({ class: "fast" }), "Unsupported value"],
    ["no rules", "Cluster", "c", { ...cluster, trafficRules: [] }, "at least 1"],
    [
      "65 rules",
      "Cluster",
      "c",
      { ...cluster, trafficRules: Array.from({ length: 65 }, () => ({ class: "bulk" })) },
      "at most 64",
    ],
    [
      "ports from high to low",
      "Cluster",
      "c",
      rules({ class: "dns", ports: [{ from: 2, to: 1 }] }),
      "from must not be above to",
    ],
    [
      "17 ports",
      "Cluster",
      "c",
      rules({ class: "dns", ports: Array.from({ length: 17 }, () => ({ from: 53 })) }),
      "at most 16",
    ],
    [
      "ports of icmp",
      "Cluster",
      "c",
      rules({ class: "dns", protocol: "icmp", ports: [{ from: 53 }] }),
      "icmp has no ports",
    ],
    [
      "DSCP of seven bits",
      "Cluster",
      "c",
      rules({ class: "control", dscp: [64] }),
      "less than or equal to 63",
    ],
    [
      "the API server's own audience",
      "Cluster",
      "c",
      accounts({ audience: "https://kubernetes.default.svc" }),
      "use one of its own, e.g. fabric-enrolment",
    ],
    [
      "an account without a namespace",
      "Cluster",
      "c",
      accounts({ namespace: undefined }),
      "namespace: Required",
    ],
    ["an account of any name", "Cluster", "c", accounts({ name: "*" }), "name: Invalid"],
    ["a misspelt source", "Cluster", "c", accounts({ sourceAddress: "node" }), "Unsupported value"],
    [
      "an account twice for one audience",
      "Cluster",
      "c",
      { ...cluster, enrolment: { serviceAccounts: [account, { ...account, autoApprove: true }] } },
      "Duplicate value",
    ],
    ["node name with a dot", "FabricNode", "a.b", node, "DNS label"],
    ["node name of 64", "FabricNode", "a".repeat(64), node, "DNS label"],
    ["node id that is no UUID", "FabricNode", "a", { ...node, nodeId: "x".repeat(36) }, "nodeId"],
    ["revoked without reason", "FabricNode", "a", { ...node, revoked: {} }, "revoked.reason: Required"],
    ["long reason", "FabricNode", "a", { ...node, revoked: { reason: "x".repeat(257) } }, "more than 256"],
    ["a folder with a dot", "FabricNode", "a", { ...node, groups: ["site/a.b"] }, "groups"],
    ["a folder without a name", "FabricNode", "a", { ...node, groups: ["site//rack"] }, "groups"],
    ["a folder too deep", "FabricNode", "a", { ...node, groups: ["a/b/c/d/e/f/g/h/i"] }, "groups"],
    ["a folder twice", "FabricNode", "a", { ...node, groups: ["site", "site"] }, "Duplicate value"],
    [
      "a role for a folder",
      "RoleAssignment",
      "r",
      { role: "relay", nodeSelector: { matchLabels: { "groups.fabric.saf.dev/site.berlin": "" } } },
      "folders are no permission: choose by a label of your own",
    ],
    [
      "neither name nor selector",
      "RoleAssignment",
      "r",
      { role: "relay" },
      "nodeName names one FabricNode, nodeSelector.matchLabels chooses by labels",
    ],
    [
      "name and selector",
      "RoleAssignment",
      "r",
      { role: "relay", nodeName: "a", nodeSelector: { matchLabels: { a: "b" } } },
      "exactly one of",
    ],
    [
      "selector of all",
      "RoleAssignment",
      "r",
      { role: "relay", nodeSelector: { matchLabels: {} } },
      "at least one",
    ],
    ["unknown role", "RoleAssignment", "r", { role: "root", nodeName: "a" }, "Unsupported value"],
    [
      "an end before the beginning",
      "RoleAssignment",
      "r",
      { role: "exit", nodeName: "a", notBefore: "2027-01-01T00:00:00Z", expiresAt: "2026-01-01T00:00:00Z" },
      "earlier than expiresAt",
    ],
    ["token name with a dot", "JoinToken", "a.b", token, "no dots"],
    ["token in the clear", "JoinToken", "t", { ...token, tokenHash: "saf1.a.b.c" }, "tokenHash"],
    ["token without an end", "JoinToken", "t", { tokenHash: token.tokenHash }, "expiresAt: Required"],
    ["token that ends some day", "JoinToken", "t", { ...token, expiresAt: "tomorrow" }, "date-time"],
    ["token for nobody", "JoinToken", "t", { ...token, maxUses: 0 }, "greater than or equal to 1"],
    ["token for everybody", "JoinToken", "t", { ...token, maxUses: 1001 }, "less than or equal to 1000"],
    [
      "17 candidates",
      "JoinRequest",
      "j",
      { ...request, candidates: Array(17).fill("1.2.3.4:1") },
      "at most 16",
    ],
    [
      "unknown attestation",
      "JoinRequest",
      "j",
      { ...request, attestation: { type: "Trust" } },
      "Unsupported",
    ],
    [
      "a pod that proved nothing",
      "JoinRequest",
      "j",
      { ...request, attestation: { type: "JoinToken", pod } },
      "pod belongs to",
    ],
    [
      "a pod's proof without the pod",
      "JoinRequest",
      "j",
      { ...request, attestation: { type: "ServiceAccount" } },
      "pod belongs to",
    ],
    [
      "a pod with a join token",
      "JoinRequest",
      "j",
      { ...request, attestation: { type: "ServiceAccount", pod } },
      "tokenName belongs to",
    ],
    ["no spec", "JoinRequest", "j", {}, "Required value"],
  ])("%s", async (_, kind, name, spec, message) => {
    expect(await refusal(create(object(kind, name, spec)))).toContain(message);
  });
});

describe("changes that are refused", () => {
  beforeAll(async () => {
    await ok(create(object("Cluster", "c", cluster)));
    await ok(create(object("FabricNode", "n", node)));
    await ok(create(object("JoinToken", "t", token)));
    await ok(create(object("JoinRequest", "j", request)));
  });

  it("a cluster's trust domain and address pools", async () => {
    expect(await refusal(patch("fcl/c", { spec: { trustDomain: "other.example" } }))).toContain(
      "cannot be changed",
    );
    const wider = { spec: { addressPools: { ipv4: "100.64.0.0/10" } } };
    expect(await refusal(patch("fcl/c", wider))).toContain("cannot be changed");
  });

  it("a node's identity", async () => {
    const other = { spec: { nodeId: node.nodeId.replace("3b", "3c") } };
    expect(await refusal(patch("fn/n", other))).toContain("nodeId cannot be changed");
    expect(await refusal(patch("fn/n", { spec: { fingerprint: "ef".repeat(32) } }))).toContain(
      "cannot be changed",
    );
    expect(await refusal(patch("fn/n", { spec: { fingerprint: null } }))).toContain("Required");
  });

  it("a node's revocation, though its reason may be corrected", async () => {
    await ok(patch("fn/n", { spec: { revoked: { reason: "lost" } } }));
    await ok(patch("fn/n", { spec: { revoked: { reason: "stolen" } } }));
    expect(await refusal(patch("fn/n", { spec: { revoked: null } }))).toContain("cannot be undone");
  });

  it("a token's hash, and bringing back a revoked one", async () => {
    const other = { spec: { tokenHash: token.tokenHash.replace("h", "i") } };
    expect(await refusal(patch("jt/t", other))).toContain("tokenHash cannot be changed");
    await ok(patch("jt/t", { spec: { revoked: true } }));
    expect(await refusal(patch("jt/t", { spec: { revoked: false } }))).toContain("cannot be brought back");
    expect(await refusal(patch("jt/t", { spec: { revoked: null } }))).toContain("cannot be brought back");
  });

  it.each([
    ["nodeName", { nodeName: "usa-4" }],
    ["fingerprint", { fingerprint: "ef".repeat(32) }],
    ["tokenName", { tokenName: "rack-8" }],
    ["tokenName, removed", { tokenName: null }],
    ["attestation", { attestation: { type: "ServiceAccount", pod } }],
    ["requestedRoles", { requestedRoles: ["exit"] }],
    ["requestedRoles, removed", { requestedRoles: null }],
    ["area, added", { area: "usa" }],
    ["facts", { facts: { cpus: 64 } }],
    ["facts, removed", { facts: { cpus: null } }],
    ["capabilities", { capabilities: { protocolVersions: ["saf/2"] } }],
    ["candidates", { candidates: [] }],
  ])("what a host asked for: %s", async (_, spec) => {
    expect(await refusal(patch("jr/j", { spec }))).toContain("cannot be changed");
  });

  it("a status beyond its bounds", async () => {
    const bad = { status: { decision: "Perhaps" } };
    expect(await refusal(patch("jr/j", bad, { status: true }))).toContain("Unsupported value");
  });
});

describe("approvals", () => {
  const entry = (user: string, decision = "Approve", reason?: string) => ({
    user,
    decision,
    ...(reason ? { reason } : {}),
  });
  const approvals = (...entries: object[]) => ({ spec: { approvals: entries } });
  const found = async () =>
    JSON.parse(
      (await ok(kubectl(["get", "jr", "a", "-o", "jsonpath={.spec.approvals}"]))) || "[]",
    ) as object[];

  beforeEach(async () => {
    await ok(kubectl(["delete", "jr", "a", "--ignore-not-found"]));
    await ok(create(object("JoinRequest", "a", request)));
  });

  it("lets everybody add, change and remove their own entry", async () => {
    await ok(patch("jr/a", approvals(entry("alice")), { user: "alice" }));
    await ok(patch("jr/a", approvals(entry("alice"), entry("bob", "Deny", "who is that?")), { user: "bob" }));
    await ok(
      patch("jr/a", approvals(entry("alice", "Deny"), entry("bob", "Deny", "who is that?")), {
        user: "alice",
      }),
    );
    expect(await found()).toEqual([entry("alice", "Deny"), entry("bob", "Deny", "who is that?")]);
    await ok(patch("jr/a", approvals(entry("alice", "Deny")), { user: "bob" }));
    await ok(patch("jr/a", { spec: { approvals: null } }, { user: "alice" }));
    expect(await found()).toEqual([]);
  });

  it.each(["alice", "admin"])("refuses %s an entry for somebody else", async (user) => {
    const answer = await refusal(patch("jr/a", approvals(entry("bob")), { user }));
    expect(answer).toContain(APPROVALS);
    expect(answer).toContain(`you are ${user}`);
    expect(await found()).toEqual([]);
  });

  it("refuses one when the request is made, and accepts the maker's own", async () => {
    const made = (user: string) =>
      object("JoinRequest", "made", { ...request, ...approvals(entry(user)).spec });
    expect(await refusal(create(made("bob"), "alice"))).toContain("you are alice");
    await ok(create(made("alice"), "alice"));
  });

  it.each<[string, object | object[]]>([
    ["changed", approvals(entry("alice", "Deny"))],
    ["given a reason", approvals(entry("alice", "Approve", "sure"))],
    ["replaced by one's own", approvals(entry("bob"))],
    ["removed with the list", { spec: { approvals: null } }],
    ["renamed", [{ op: "replace", path: "/spec/approvals/0/user", value: "bob" }]],
    ["removed by index", [{ op: "remove", path: "/spec/approvals/0" }]],
    ["followed by another's", [{ op: "add", path: "/spec/approvals/-", value: entry("carol") }]],
  ])("refuses bob that alice's entry is %s", async (_, change) => {
    await ok(patch("jr/a", approvals(entry("alice")), { user: "alice" }));
    expect(await refusal(patch("jr/a", change, { user: "bob" }))).toContain("you are bob");
    expect(await found()).toEqual([entry("alice")]);
  });

  it("refuses two entries of one user", async () => {
    const twice = approvals(entry("alice"), entry("alice", "Deny"));
    expect(await refusal(patch("jr/a", twice, { user: "alice" }))).toContain("Duplicate value");
  });

  it("cannot be passed by through the status", async () => {
    const forged = { ...approvals(entry("bob")), status: { decision: "Pending" } };
    await patch("jr/a", forged, { user: "alice", status: true });
    expect(await found()).toEqual([]);
  });

  it("are closed once it is decided", async () => {
    await ok(patch("jr/a", approvals(entry("alice")), { user: "alice" }));
    await ok(patch("jr/a", { status: { decision: "Approved", decidedBy: "alice" } }, { status: true }));
    const late = approvals(entry("alice"), entry("bob", "Deny"));
    expect(await refusal(patch("jr/a", late, { user: "bob" }))).toContain("already decided");
    await ok(patch("jr/a", { metadata: { labels: { site: "x" } } }));
  });
});

describe("kubectl", () => {
  it("explains fields in sentences", async () => {
    const text = await ok(kubectl(["explain", "fabricnode.spec"]));
    expect(text).toContain("Failure domain that the node stands in");
    expect(text).toMatch(/nodeId\s+<string> -required-/);
    expect(await ok(kubectl(["explain", "joinrequest.spec.approvals.decision"]))).toContain(
      "Approve or Deny",
    );
    expect(await ok(kubectl(["explain", "fn.spec.groups"]))).toContain("Never a permission");
    const policy = await ok(kubectl(["explain", "fcl.spec.enrolment.serviceAccounts"]));
    for (const field of ["audience", "autoApprove", "sourceAddress", "allowedRoles"])
      expect(policy).toContain(field);
  });

  it("leaves no field of any kind without an explanation", async () => {
    for (const kind of ["fcl", "fn", "ra", "jt", "jr"]) {
      const listed = await ok(kubectl(["explain", kind, "--recursive", "-o", "plaintext-openapiv2"]));
      expect(listed).not.toContain("<no description>");
      for (const part of ["spec", "status"])
        expect(await ok(kubectl(["explain", `${kind}.${part}`]))).not.toContain("<empty>");
    }
  });

  it("shows what matters in columns", async () => {
    const name = "shown";
    await ok(create(object("FabricNode", name, { ...node, area: "usa" })));
    const ready = {
      type: "Ready",
      status: "True",
      reason: "Connected",
      message: "",
      lastTransitionTime: "2026-11-21T00:00:00Z",
    };
    const status = {
      // Without it kubectl waits for an operator that has seen the object.
      observedGeneration: 1,
      conditions: [ready],
      roles: ["exit", "relay"],
      summary: { roles: "exit,relay", peers: "3/4" },
      version: "0.1.0",
      peers: { direct: 3, known: 4 },
      addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
      natGroup: "203.0.113.7",
      snapshot: { term: 1, epoch: 12 },
    };
    await ok(patch(`fn/${name}`, { status }, { status: true }));
    const [headers = "", row = ""] = (await ok(kubectl(["get", "fn", name, "-o", "wide"]))).split("\n");
    expect(headers.split(/\s{2,}/).map((header) => header.trim())).toEqual([
      "NAME",
      "READY",
      "REASON",
      "AREA",
      "ROLES",
      "PEERS",
      "VERSION",
      "GROUPS",
      "IPV4",
      "IPV6",
      "NAT",
      "EPOCH",
      "AGE",
    ]);
    for (const value of ["True", "Connected", "usa", "exit,relay", "3/4", "100.96.0.5", "203.0.113.7"]) {
      expect(row).toContain(value);
    }
    const narrow = await ok(kubectl(["get", "fn", name]));
    expect(narrow).not.toContain("100.96.0.5");
    expect(await ok(kubectl(["wait", "--for=condition=Ready", `fn/${name}`, "--timeout=10s"]))).toContain(
      "condition met",
    );
    expect(await ok(kubectl(["get", "fabric"]))).toContain(name);
  });

  it("lists every kind as fabric, and knows the short names", async () => {
    const all = await ok(kubectl(["get", "fabric", "-o", "name"]));
    for (const kind of ["cluster", "fabricnode", "jointoken", "joinrequest"])
      expect(all).toContain(`${kind}.fabric`);
    for (const short of ["fcl", "fn", "ra", "jt", "jr"]) await ok(kubectl(["get", short]));
  });
});
