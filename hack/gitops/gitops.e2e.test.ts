/**
 * GitOps over a real API server and a real operator: what a tool applies stays as it applied it (no field fights), and what tools read
 * off the objects, Argo CD by its health checks and Flux by kstatus, is what the operator means.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { kinds, type Cluster, type FabricNode, type JoinRequest } from "@saf/crds";
import { loadAll } from "js-yaml";
import { createJoiner, makeToken } from "../../operator/src/e2e/joiner.ts";
import { buildStage, eventually, NAMESPACE, type Stage } from "../../operator/src/e2e/stage.ts";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../bootstrap/lazy-tools.ts";
import { run, succeed } from "../chart/helm.ts";
import { argoHealth } from "./argo-health.ts";
import { kstatusOf, type StatusObject } from "./kstatus.ts";

const NODE = "usa-1";
let stage: Stage;
/** What the tool applies. */
let manifests: string;

interface LiveObject extends StatusObject {
  readonly kind: string;
  readonly metadata: StatusObject["metadata"] & { readonly name: string };
}

beforeAll(async () => {
  buildLazily("kustomize");
  stage = await buildStage();
  manifests = await buildOverlay();
}, LAZY_BUILD_TIMEOUT_MS);

afterAll(async () => {
  await stage?.end();
}, 60_000);

/** The example with this stage's namespace and addresses, as a user's overlay would have theirs. */
async function buildOverlay(): Promise<string> {
  const overlay = join(stage.dir, "overlay");
  mkdirSync(overlay);
  const { enrolment, control } = stage.ports;
  const patch = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: "home" },
    spec: { endpoints: { enrolment: [`https://127.0.0.1:${enrolment}`], control: [`127.0.0.1:${control}`] } },
  };
  writeFileSync(join(overlay, "endpoints.json"), JSON.stringify(patch));
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace: NAMESPACE,
    resources: [relative(overlay, join(repositoryRoot, "examples/gitops/fabric"))],
    patches: [{ path: "endpoints.json" }],
  };
  writeFileSync(join(overlay, "kustomization.yaml"), JSON.stringify(kustomization));
  return succeed(run(artifacts().kustomize, ["build", overlay]));
}

/** As Argo CD with ServerSideApply=true and Flux do; a conflict with another owner of a field would fail it. */
const sync = (...args: string[]): Promise<string> => kubectlWith(manifests, "apply", ...applyFlags, ...args);
const applyFlags = ["--server-side", "--field-manager=gitops", "-f", "-"];
const kubectlWith = (input: string, ...args: string[]): Promise<string> =>
  succeed(
    run(artifacts().kubectl, ["-n", NAMESPACE, ...args], {
      input,
      env: { KUBECONFIG: stage.controlPlane.kubeconfig },
    }),
  );

async function live(): Promise<readonly LiveObject[]> {
  return (JSON.parse(await stage.kubectl("get", "fabric", "-o", "json")) as { items: LiveObject[] }).items;
}

async function the<T = LiveObject>(kind: string, name: string): Promise<T> {
  const found = await stage.get<T>(kind, name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

const verdicts = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    await Promise.all(
      (await live()).map(async (object) => {
        const { status } = await argoHealth(object.kind, object);
        return [`${object.kind}/${object.metadata.name}`, `${kstatusOf(object)} ${status}`] as const;
      }),
    ),
  );

it("Argo CD is told of every kind by its own ConfigMap", async () => {
  const built = await succeed(
    run(artifacts().kustomize, ["build", join(repositoryRoot, "examples/gitops/argo-cd")]),
  );
  const [config] = loadAll(built) as [{ metadata: object; data: Record<string, string> }];
  expect(config.metadata).toMatchObject({ name: "argocd-cm", namespace: "argocd" });
  expect(Object.keys(config.data).sort()).toEqual(
    kinds.map(({ kind }) => `resource.customizations.health.fabric.saf.dev_${kind}`).sort(),
  );
});

it("nothing is done before the operator has seen it", async () => {
  await sync();
  expect(await verdicts()).toEqual({
    "Cluster/home": "InProgress Progressing",
    "RoleAssignment/dallas-relays": "InProgress Progressing",
    "RoleAssignment/usa-1-exit": "InProgress Progressing",
  });
});

it("every kind tells its state to Argo CD and to Flux", async () => {
  await stage.startOperator({ holder: "first", ledger: "one" });
  const cluster = await eventually("the Cluster is ruled", async () => {
    const found = await stage.get<Cluster>("cluster", "home");
    return kstatusOf(found as StatusObject) === "Current" && found;
  });
  const { token, object } = makeToken("rack", cluster.status?.authority?.caPin ?? "");
  await stage.apply(object);
  const joiner = createJoiner(stage.ports.enrolment, NODE);
  await eventually("the token is known", async () => kstatusOf(await the("jointoken", "rack")) === "Current");
  expect(await joiner.ask(token)).toMatchObject({ status: 202 });
  await eventually("the request is shown", async () => await stage.get<JoinRequest>("jr", joiner.requestId));
  await eventually(
    "and waits",
    async () => (await verdicts())[`JoinRequest/${joiner.requestId}`] === "InProgress Suspended",
  );

  const approvals = [{ user: "admin", decision: "Approve" }];
  await stage.kubectl(
    "patch",
    "jr",
    joiner.requestId,
    "--type=merge",
    "-p",
    JSON.stringify({ spec: { approvals } }),
  );
  await eventually("it is a member", async () => await stage.get<FabricNode>("fabricnode", NODE));
  const settled = {
    "Cluster/home": "Current Healthy",
    // It named the node before there was one; now it is in force, and the node has yet to confirm.
    "RoleAssignment/usa-1-exit": "Current Progressing",
    // For nodes to come: Argo CD need not wait, kstatus knows only Ready.
    "RoleAssignment/dallas-relays": "InProgress Healthy",
    "JoinToken/rack": "Current Healthy",
    [`JoinRequest/${joiner.requestId}`]: "Current Healthy",
    // This host never opens a control session.
    [`FabricNode/${NODE}`]: "InProgress Progressing",
  };
  let last: object = {};
  await eventually("all have settled", async () => {
    last = await verdicts();
    return JSON.stringify(sorted(last)) === JSON.stringify(sorted(settled));
  }).catch(() => expect(last).toEqual(settled));
  expect(new Set((await live()).map(({ kind }) => kind))).toEqual(new Set(kinds.map(({ kind }) => kind)));
}, 60_000);

const sorted = (record: object): object =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

it("applying again changes nothing, whoever else writes to the objects", async () => {
  // What its owner says of a member in git, beside what the operator wrote there.
  manifests += `---\n${JSON.stringify({
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "FabricNode",
    metadata: { name: NODE, namespace: NAMESPACE, labels: { site: "dallas" } },
    spec: { localityGroup: "rack-7" },
  })}`;
  await sync();
  await eventually("the labelled node plays the role", async () => {
    const assignment = await the("roleassignment", "dallas-relays");
    return kstatusOf(assignment) === "Current";
  });
  const generations = async (): Promise<object> =>
    Object.fromEntries(
      (await live()).map(({ kind, metadata }) => [`${kind}/${metadata.name}`, metadata.generation]),
    );
  const before = await generations();
  await kubectlWith(manifests, "diff", ...applyFlags); // ends with 1 where there is a difference
  const said = await sync();
  expect(said.trim().split("\n")).toHaveLength(loadAll(manifests).length);
  expect(await generations()).toEqual(before);
  const node = await the<FabricNode>("fabricnode", NODE);
  expect(node.spec).toMatchObject({ localityGroup: "rack-7", nodeId: expect.any(String) });
}, 60_000);

it("no field of a spec has two writers", async () => {
  const { items } = JSON.parse(
    await stage.kubectl("get", "fabric", "-o", "json", "--show-managed-fields"),
  ) as {
    items: { kind: string; metadata: { managedFields: readonly ManagedFields[] } }[];
  };
  const shared = items.flatMap(({ kind, metadata: { managedFields } }) => {
    const writersOf = new Map<string, Set<string>>();
    for (const { manager, fieldsV1 } of managedFields)
      for (const path of leaves(fieldsV1["f:spec"] ?? {}))
        writersOf.set(path, (writersOf.get(path) ?? new Set()).add(manager));
    return [...writersOf].filter(([, writers]) => writers.size > 1).map(([path]) => `${kind} ${path}`);
  });
  expect(shared).toEqual([]);
});

it("a member that its owner suspends is Suspended to Argo CD", async () => {
  await stage.kubectl("patch", "fabricnode", NODE, "--type=merge", "-p", '{"spec":{"suspended":true}}');
  await eventually(
    "it shows",
    async () => (await verdicts())[`FabricNode/${NODE}`] === "InProgress Suspended",
  );
});

interface ManagedFields {
  readonly manager: string;
  readonly fieldsV1: Readonly<Record<string, object>>;
}

function leaves(fields: object, path = "spec"): string[] {
  const children = Object.entries(fields).filter(([name]) => name !== ".");
  return children.length === 0
    ? [path]
    : children.flatMap(([name, child]) => leaves(child as object, `${path}.${name}`));
}
