/** The example app and the agents' construct, synthesized with a real Helm and applied to a real API server. */
import { readFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { jest } from "@jest/globals";
import { App, Chart } from "cdk8s";
import { artifacts } from "../../hack/bootstrap/artifacts.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../../hack/bootstrap/lazy-tools.ts";
import { run, succeed } from "../../hack/chart/helm.ts";
import { startControlPlane, type ControlPlane } from "../../hack/control-plane/control-plane.ts";
import { createScratchDirectory } from "../../hack/lab/scratch-directory.ts";
import { exampleApp } from "./example.ts";
import { AgentDaemonSet } from "./index.ts";

const scratch = createScratchDirectory();
let controlPlane: ControlPlane;

beforeAll(async () => {
  buildLazily("helm");
  // cdk8s leaves what it makes in the temporary directory.
  jest.spyOn(os, "tmpdir").mockReturnValue(scratch.path);
  controlPlane = await startControlPlane({ controllerManager: false });
  for (const name of ["home", "agents"]) await kubectl("create", "namespace", name);
}, LAZY_BUILD_TIMEOUT_MS);

afterAll(async () => {
  await controlPlane.stop();
  scratch.remove();
});

const kubectl = (...args: string[]): Promise<string> =>
  succeed(run(artifacts().kubectl, args, { env: { KUBECONFIG: controlPlane.kubeconfig } }));
const apply = (file: string, ...args: string[]): Promise<string> =>
  kubectl("apply", "--server-side", "--validate=strict", "-f", file, ...args);

it("the example is accepted as a whole, and applying it again changes nothing", async () => {
  const outdir = join(scratch.path, "example");
  exampleApp(outdir, artifacts().helm).synth();
  const file = join(outdir, "home.k8s.yaml");
  await apply(join(import.meta.dirname, "../../crds/manifests"));
  await kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s");
  await apply(file, "--force-conflicts"); // the kinds were applied by hand just now
  const made = await kubectl("-n", "home", "get", "fabric,deployment,daemonset", "-o", "name");
  expect(made.trim().split("\n").sort()).toEqual([
    "cluster.fabric.saf.dev/home",
    "daemonset.apps/fabric-agent",
    "deployment.apps/fabric-operator",
    "jointoken.fabric.saf.dev/rack-7",
    "roleassignment.fabric.saf.dev/rack-7-relay-0",
  ]);
  await kubectl("diff", "--server-side", "-f", file);
  const [kinds, cluster] = ["kind: CustomResourceDefinition", "kind: Cluster"].map((kind) =>
    readFileSync(file, "utf8").indexOf(`${kind}\n`),
  );
  expect(kinds).toBeLessThan(cluster ?? -1);
}, 60_000);

it("agents alone are accepted, and bring what they believe", async () => {
  const outdir = join(scratch.path, "agents");
  const app = new App({ outdir });
  new AgentDaemonSet(new Chart(app, "agents", { namespace: "agents" }), "agents", {
    namespace: "agents",
    helmExecutable: artifacts().helm,
    server: "https://fabric-operator.home.svc:8443",
    trust: { pin: "p".repeat(43), ca: "-----BEGIN CERTIFICATE-----" },
    agent: { area: "usa", tolerations: [{ operator: "Exists" }] },
  });
  app.synth();
  const said = await apply(join(outdir, "agents.k8s.yaml"));
  expect(
    said
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0] ?? "")
      .sort(),
  ).toEqual([
    "configmap/fabric-agent",
    "configmap/fabric-trust",
    "daemonset.apps/fabric-agent",
    "serviceaccount/fabric-agent",
  ]);
}, 60_000);
