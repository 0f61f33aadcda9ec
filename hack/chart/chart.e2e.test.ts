/**
 * The chart on a real API server, with a real Helm: every manifest is accepted, an install, an upgrade, a rollback and an uninstall
 * do what docs/install.md says. No kubelet runs here; the pods themselves are the cluster lab's.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dump, load, loadAll } from "js-yaml";
import { artifacts } from "../bootstrap/artifacts.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../bootstrap/lazy-tools.ts";
import { startControlPlane, type ControlPlane } from "../control-plane/control-plane.ts";
import { createScratchDirectory } from "../lab/scratch-directory.ts";
import { chart, helm, render, run, succeed, type Answer } from "./helm.ts";
import { clusterSpec, everything } from "./values.ts";

const scratch = createScratchDirectory();
let controlPlane: ControlPlane;

beforeAll(async () => {
  buildLazily("helm");
  controlPlane = await startControlPlane();
  await kubectl(["apply", "-f", "-"], JSON.stringify(monitoringKinds()));
  await kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
}, LAZY_BUILD_TIMEOUT_MS);

afterAll(async () => {
  await controlPlane.stop();
  scratch.remove();
});

const env = (user = controlPlane.kubeconfig) => ({ KUBECONFIG: user });
const kubectl = (args: readonly string[], input = ""): Promise<string> =>
  succeed(run(artifacts().kubectl, args, { env: env(), input }));
const release = (verb: string, ns: string, values: object = {}, from = chart): Promise<Answer> =>
  helm([verb, "fabric", from, "--namespace", ns], values, env());

async function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
  const object = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
  await kubectl(["create", "-f", "-"], JSON.stringify(object));
  return name;
}

/** The Prometheus operator's kinds as far as names go; what they hold is theirs. */
function monitoringKinds(): object {
  const items = ["ServiceMonitor", "PodMonitor", "PrometheusRule"].map((kind) => {
    const singular = kind.toLowerCase();
    return {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: {
        name: `${singular}s.monitoring.coreos.com`,
        annotations: {
          "api-approved.kubernetes.io": "https://github.com/prometheus-operator/prometheus-operator",
        },
      },
      spec: {
        group: "monitoring.coreos.com",
        scope: "Namespaced",
        names: { kind, plural: `${singular}s`, singular },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        ],
      },
    };
  });
  return { apiVersion: "v1", kind: "List", items };
}

interface Workload {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly template?: { readonly metadata: object; readonly spec: object } };
}

interface PodObject {
  readonly metadata: { readonly name: string };
}

function podOf(object: Workload): PodObject | undefined {
  if (object.kind === "Pod") return object;
  const template = object.spec?.template;
  if (!template) return undefined;
  const metadata = { ...template.metadata, name: object.metadata.name };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: template.spec } as PodObject;
}

describe("a release", () => {
  const values = { cluster: { create: true, spec: clusterSpec } };
  const home = "home";

  it("brings the kinds first and the Cluster with the next upgrade, as its notes say", async () => {
    await namespace(home);
    expect(await succeed(release("install", home, values))).toMatch(/helm --namespace home upgrade fabric/);
    await kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    expect(await succeed(release("upgrade", home, values))).toMatch(
      /wait --for=condition=Ready cluster\/home/,
    );
    expect(await kubectl(["-n", home, "get", "fabric", "-o", "name"])).toBe("cluster.fabric.saf.dev/home\n");
  }, 60_000);

  it("leaves the kinds to the release that has them, and shares no object with it", async () => {
    const owner = (): Promise<string> =>
      kubectl(["get", "crd", "clusters.fabric.saf.dev", "-o", "jsonpath={.metadata.annotations}"]);
    const before = await owner();
    await namespace("second");
    await succeed(release("install", "second"));
    expect(await owner()).toBe(before);
    expect(before).toContain('"meta.helm.sh/release-namespace":"home"');
    await succeed(run(artifacts().helm, ["uninstall", "fabric", "--namespace", "second"], { env: env() }));
    expect(await kubectl(["-n", home, "get", "deployment,serviceaccount", "-o", "name"])).toContain(
      "fabric-operator",
    );
  }, 60_000);

  it("brings kinds of an older version up to date, and a rollback goes back without touching the Cluster", async () => {
    const uid = (): Promise<string> =>
      kubectl(["-n", home, "get", "cluster", "home", "-o", "jsonpath={.metadata.uid}"]);
    const before = await uid();
    const field = [
      "get",
      "crd",
      "clusters.fabric.saf.dev",
      "-o",
      "jsonpath={..spec.properties.dns.description}",
    ];
    const current = await kubectl(field);
    await succeed(release("upgrade", home, values, olderChart()));
    expect(await kubectl(field)).toBe("Of an older version.");
    await succeed(release("upgrade", home, values));
    expect(await kubectl(field)).toBe(current);
    await succeed(run(artifacts().helm, ["rollback", "fabric", "1", "--namespace", home], { env: env() }));
    expect(await uid()).toBe(before);
  }, 60_000);

  it("keeps kinds, Cluster and ledger when it goes", async () => {
    await succeed(run(artifacts().helm, ["uninstall", "fabric", "--namespace", home], { env: env() }));
    const left = await kubectl(["-n", home, "get", "all,fabric,pvc,roles,serviceaccounts", "-o", "name"]);
    expect(left.trim().split("\n").sort()).toEqual([
      "cluster.fabric.saf.dev/home",
      "persistentvolumeclaim/fabric-operator",
      "serviceaccount/default",
    ]);
    expect(await kubectl(["get", "crd", "-o", "name"])).toContain("fabricnodes.fabric.saf.dev");
    await succeed(release("install", home, values)); // and takes them up again
    expect(await uidsOf("crd clusters.fabric.saf.dev")).not.toBe("");
  }, 60_000);

  it("is refused by verb and kind to somebody without the rights", async () => {
    const alice = env(await controlPlane.kubeconfigFor("alice"));
    const { stderr } = await helm(["install", "fabric", chart, "--namespace", "default"], {}, alice);
    expect(stderr).toMatch(/User "alice" cannot (list|get|create) resource "[a-z]+"/);
  });

  const uidsOf = (what: string): Promise<string> =>
    kubectl(["get", ...what.split(" "), "-o", "jsonpath={.metadata.uid}"]);

  /** The chart with another text in one of its kinds. */
  function olderChart(): string {
    const copy = join(scratch.path, "older");
    cpSync(chart, copy, { recursive: true });
    const path = join(copy, "files/crds/clusters.yaml");
    const kind = load(readFileSync(path, "utf8")) as {
      spec: {
        versions: [
          { schema: { openAPIV3Schema: { properties: { spec: { properties: Record<string, object> } } } } },
        ];
      };
    };
    const { properties } = kind.spec.versions[0].schema.openAPIV3Schema.properties.spec;
    properties["dns"] = { ...properties["dns"], description: "Of an older version." };
    writeFileSync(path, dump(kind));
    return copy;
  }
});

describe("clearing the nodes after an uninstall", () => {
  it("takes a pod for each node that there is, kept apart", async () => {
    const nodes = ["clean-1", "clean-2"].map((name) => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
    }));
    await kubectl(["create", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: nodes }));
    const ns = await namespace("cleaning");
    await succeed(release("install", ns, { uninstall: { cleanNodes: true } }));
    const hooks = await succeed(
      run(artifacts().helm, ["get", "hooks", "fabric", "--namespace", ns], { env: env() }),
    );
    const job = (loadAll(hooks) as Workload[]).find(({ kind }) => kind === "Job");
    expect(job).toMatchObject({
      metadata: { name: "fabric-clean-nodes" },
      spec: { completions: 2, parallelism: 2 },
    });
    await kubectl(["create", "--dry-run=server", "--validate=strict", "-f", "-"], JSON.stringify(job));
    await succeed(
      run(artifacts().helm, ["uninstall", "fabric", "--namespace", ns, "--no-hooks"], { env: env() }),
    );
  }, 60_000);

  it("removes what is the agent's, and the folder if nothing else is in it", async () => {
    const clean = (root: string): Promise<string> =>
      succeed(run(process.execPath, [join(chart, "files/clean-node.mjs"), root]));
    const [alone, shared] = ["alone", "shared"].map((name) => join(scratch.path, name)) as [string, string];
    for (const root of [alone, shared]) mkdirSync(join(root, "agent/identity"), { recursive: true });
    mkdirSync(join(shared, "another"));
    await clean(alone);
    await clean(shared);
    expect(existsSync(alone)).toBe(false);
    expect(readdirSync(shared)).toEqual(["another"]);
  });
});

describe("taking leave before an uninstall", () => {
  const ns = "leaving";
  const token = (name: string, finalizers: readonly string[] = []): string =>
    JSON.stringify({
      apiVersion: "fabric.saf.dev/v1alpha1",
      kind: "JoinToken",
      metadata: { name, namespace: ns, finalizers },
      spec: { tokenHash: `sha256:${"s".repeat(22)}:${"h".repeat(43)}`, expiresAt: "2030-01-01T00:00:00Z" },
    });

  /** The hook's own program with the hook's own rights, where a pod finds its token. */
  async function takeLeave(seconds: number): Promise<Answer> {
    const kubeconfig = await controlPlane.kubeconfigFor({
      namespace: ns,
      serviceAccount: "fabric-take-leave",
    });
    const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
      clusters: [{ cluster: { "certificate-authority-data": string } }];
      users: [{ user: { token: string } }];
    };
    const account = join(scratch.path, "account");
    mkdirSync(account, { recursive: true });
    const ca = Buffer.from(config.clusters[0].cluster["certificate-authority-data"], "base64");
    writeFileSync(join(account, "ca.crt"), ca);
    writeFileSync(join(account, "token"), config.users[0].user.token);
    const { hostname, port } = new URL(controlPlane.url);
    const place = "/run/secrets/kubernetes.io/serviceaccount";
    const script = `mount -t tmpfs none /run && mkdir -p ${place} && cp "$0"/* ${place} && exec "$@"`;
    const program = [process.execPath, join(chart, "files/take-leave.mjs"), ns, String(seconds)];
    return run("unshare", ["--mount", "sh", "-c", script, account, ...program], {
      env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
    });
  }

  beforeAll(async () => {
    await namespace(ns);
    const objects = await succeed(render({ uninstall: { takeLeave: true }, crds: { install: false } }, ns));
    const rights = (loadAll(objects) as Workload[]).filter(
      ({ kind, metadata }) => metadata.name === "fabric-take-leave" && kind !== "Job",
    );
    expect(rights.map(({ kind }) => kind).sort()).toEqual(["Role", "RoleBinding", "ServiceAccount"]);
    await kubectl(["apply", "-f", "-"], rights.map((object) => dump(object)).join("---\n"));
  });

  it("deletes members and tokens, and ends when they are gone", async () => {
    await kubectl(["create", "-f", "-"], token("free"));
    expect(await takeLeave(10)).toMatchObject({ code: 0, stdout: expect.stringContaining("taken leave") });
    expect(await kubectl(["-n", ns, "get", "jointokens", "-o", "name"])).toBe("");
  }, 30_000);

  it("fails by name when no operator lets them go", async () => {
    await kubectl(["create", "-f", "-"], token("held", ["fabric.saf.dev/operator"]));
    expect(await takeLeave(1)).toMatchObject({ code: 1, stderr: expect.stringContaining("jointokens/held") });
    const free = [
      "-n",
      ns,
      "patch",
      "jointoken",
      "held",
      "--type=merge",
      "-p",
      '{"metadata":{"finalizers":null}}',
    ];
    await kubectl(free);
  }, 30_000);
});

describe("every manifest", () => {
  const apply = (values: object, ns: string): Promise<string> =>
    render(values, ns).then(({ stdout }) =>
      kubectl(["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"], stdout),
    );

  it("is accepted by the API server, field by field", async () => {
    await kubectl(["apply", "--server-side", "--force-conflicts", "-f", join(chart, "files/crds")]);
    await kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    const crds = { install: false }; // here already
    expect(await apply({ crds }, await namespace("dry-defaults"))).toContain("daemonset.apps/fabric-agent");
    const all = await apply({ ...everything, crds }, await namespace("dry-everything"));
    for (const kind of [
      "servicemonitor",
      "podmonitor",
      "job",
      "cluster.fabric",
      "pod/fabric-test",
      "networkpolicy",
    ])
      expect(all).toContain(kind);
  }, 60_000);

  it("of the operator keeps to the restricted Pod Security Standard; the agent's does not, and says why", async () => {
    const ns = await namespace("restricted", { "pod-security.kubernetes.io/enforce": "restricted" });
    const objects = loadAll(await succeed(render({ uninstall: { takeLeave: true } }, ns))) as Workload[];
    const pods = objects.flatMap((object) => podOf(object) ?? []);
    expect(pods.map(({ metadata }) => metadata.name).sort()).toEqual([
      "fabric-agent",
      "fabric-operator",
      "fabric-take-leave",
      "fabric-test",
    ]);
    for (const name of ["fabric-agent", "fabric-operator", "fabric-take-leave"])
      await kubectl(["-n", ns, "create", "serviceaccount", name]);
    for (const pod of pods) {
      const create = ["-n", ns, "create", "--dry-run=server", "-f", "-"];
      const answer = await run(artifacts().kubectl, create, { env: env(), input: JSON.stringify(pod) });
      if (pod.metadata.name === "fabric-agent") expect(answer.stderr).toMatch(/restricted.*hostNetwork/s);
      else expect(answer).toMatchObject({ code: 0, stderr: "" });
    }
  }, 60_000);
});
