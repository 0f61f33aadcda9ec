/**
 * The operator's pod without a kubelet: operator, engine and embedded PostgreSQL with the user, mounts, volume and rights that the chart
 * gives them, in front of a real API server. It has to rule with nothing more.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "@saf/crds";
import { loadAll } from "js-yaml";
import { until } from "../../agent/src/testing/until.ts";
import { artifacts } from "../bootstrap/artifacts.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../bootstrap/lazy-tools.ts";
import { startControlPlane, type ControlPlane } from "../control-plane/control-plane.ts";
import { createLab, type Lab } from "../lab/lab.ts";
import type { Topology } from "../lab/topology.ts";
import { helm, run, succeed, chart } from "./helm.ts";
import { createPod, type Pod, type PodSpec } from "./pod.ts";
import { clusterSpec } from "./values.ts";

const topology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24"] } },
  routers: {},
  hosts: { control: { network: "internet", address: "203.0.113.2/24", gateway: "203.0.113.1" } },
};
const NAMESPACE = "home";

let controlPlane: ControlPlane;
let lab: Lab;
let pod: Pod;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
}

const kubectl = (args: readonly string[], input = ""): Promise<string> =>
  succeed(
    run(artifacts().kubectl, ["-n", NAMESPACE, ...args], {
      input,
      env: { KUBECONFIG: controlPlane.kubeconfig },
    }),
  );

beforeAll(async () => {
  buildLazily("helm");
  controlPlane = await startControlPlane();
  lab = await createLab(topology);
  await kubectl(["create", "namespace", NAMESPACE]);
  const env = { KUBECONFIG: controlPlane.kubeconfig };
  await succeed(helm(["install", "fabric", chart, "--namespace", NAMESPACE], {}, env));
  await kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
  const get = async (what: string): Promise<Manifest> =>
    loadAll(await kubectl(["get", what, "fabric-operator", "-o", "json"]))[0] as Manifest;
  const spec = (await get("deployment")).spec?.template.spec;
  if (!spec) throw new Error("the Deployment has no template");
  const { port } = new URL(controlPlane.url);
  await lab.openDoor("control", Number(port));
  pod = createPod({
    lab,
    host: lab.host("control"),
    spec,
    files: { config: (await get("configmap")).data ?? {}, account: await serviceAccount() },
    variables: { POD_ADDRESS: "10.1.0.7", NODE_NAME: "node-7" },
    environment: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: port },
  });
}, LAZY_BUILD_TIMEOUT_MS);

afterAll(async () => {
  await lab?.destroy();
  await controlPlane?.stop();
}, 60_000);

/** The token of the chart's ServiceAccount, as pods have it. */
async function serviceAccount(): Promise<Record<string, string>> {
  const kubeconfig = await controlPlane.kubeconfigFor({
    namespace: NAMESPACE,
    serviceAccount: "fabric-operator",
  });
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
    clusters: [{ cluster: { "certificate-authority-data": string } }];
    users: [{ user: { token: string } }];
  };
  const ca = Buffer.from(clusters[0].cluster["certificate-authority-data"], "base64").toString();
  return { "ca.crt": ca, token: users[0].user.token, namespace: NAMESPACE };
}

it("rules its Cluster, on a volume, and its Service leads to it", async () => {
  pod.start("engine");
  pod.start("operator");
  const cluster = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: "home" },
    spec: clusterSpec,
  };
  await kubectl(["apply", "-f", "-"], JSON.stringify(cluster));
  await until(
    async () => JSON.parse(await kubectl(["get", "cluster", "home", "-o", "json"])) as Cluster,
    ({ status }) => status?.conditions?.find(({ type }) => type === "Ready")?.status === "True",
    40_000,
  );
  await until(
    () => kubectl(["get", "endpointslices", "-o", "jsonpath={.items[*].endpoints[*].addresses}"]),
    (addresses) => addresses.includes("10.1.0.7"),
  );
  const { uid, mode } = statSync(join(pod.volume("state"), "ledger/pgdata"));
  expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 65532, mode: 0o700 });
}, 90_000);

it("its engine has the key that it made", async () => {
  const said = await until(
    () => readFileSync(join(lab.directory, "logs/control.pod-operator.log"), "utf8"),
    (log) => log.includes("enrolment API open"),
  );
  expect(said).not.toMatch(/KEY_UNREADABLE|EACCES|EROFS|Forbidden/);
}, 30_000);
