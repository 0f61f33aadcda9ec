/**
 * The chart without a cluster: it lints, what it renders is what a reviewer has seen (golden files), and wrong values are
 * refused with the field's name.
 *
 * After a wanted change: UPDATE_GOLDEN=1 npm run jest -- hack/chart/chart.test
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { load, loadAll } from "js-yaml";
import { repositoryRoot } from "../bootstrap/artifacts.ts";
import { buildLazily, LAZY_BUILD_TIMEOUT_MS } from "../bootstrap/lazy-tools.ts";
import { chart, helm, render, succeed } from "./helm.ts";
import { clusterSpec, everything } from "./values.ts";

beforeAll(() => void buildLazily("helm"), LAZY_BUILD_TIMEOUT_MS);

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

async function manifests(values: object): Promise<Manifest[]> {
  return loadAll(await succeed(render(values))).filter(
    (object) => object !== null && object !== undefined,
  ) as Manifest[];
}

async function refusal(values: object): Promise<string> {
  const { code, stdout, stderr } = await render(values);
  if (code === 0) throw new Error(`accepted: ${stdout.slice(0, 200)}`);
  return stderr;
}

it.each([
  ["the defaults", {}],
  ["everything on", everything],
])("lints with %s", async (_what, values) => {
  expect(await succeed(helm(["lint", "--strict", chart], values))).toContain("0 chart(s) failed");
});

describe("golden files", () => {
  // The kinds are compared with their source by `npm run check`.
  const crds = { install: false };

  it.each([
    ["defaults", { crds }],
    [
      "everything",
      {
        ...everything,
        crds,
        monitoring: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } },
      },
    ],
    ["operator-alone", { crds, agent: { enabled: false }, operator: { replicas: 1 } }],
    [
      "agents-alone",
      {
        crds,
        operator: { enabled: false },
        agent: {
          server: "https://fabric-operator.home.svc:8443",
          trust: { pin: "p".repeat(43), ca: "PEM\n" },
        },
      },
    ],
  ])("%s", async (name, values) => {
    const path = join(import.meta.dirname, "golden", `${name}.yaml`);
    const rendered = await succeed(render(values));
    if (process.env["UPDATE_GOLDEN"]) writeFileSync(path, rendered);
    expect(rendered).toBe(readFileSync(path, "utf8"));
  });
});

it("has the version of the programs that it installs", () => {
  const read = (path: string): unknown => load(readFileSync(path, "utf8"));
  const { version } = read(join(repositoryRoot, "operator/package.json")) as { version: string };
  expect(read(join(chart, "Chart.yaml"))).toMatchObject({ version, appVersion: version });
});

it("installs the kinds so that an uninstall keeps them", async () => {
  const kinds = (await manifests({})).filter(({ kind }) => kind === "CustomResourceDefinition");
  expect(kinds.length).toBeGreaterThan(4);
  for (const { metadata } of kinds) expect(metadata.annotations?.["helm.sh/resource-policy"]).toBe("keep");
  expect((await manifests({ crds: { install: false } })).map(({ kind }) => kind)).not.toContain(
    "CustomResourceDefinition",
  );
});

it("makes a ConfigMap and a PrometheusRule of every dashboard and alert file", async () => {
  const found = (await manifests(everything)).filter(
    ({ kind, metadata }) => kind === "PrometheusRule" || metadata.name.startsWith("fabric-dashboard-"),
  );
  expect(found).toHaveLength(globSync(["dashboards/*.json", "alerts/*.yaml"], { cwd: chart }).length);
});

it("lets nobody read the operator's metrics when nobody is named", async () => {
  const policyOf = async (networkPolicy: object): Promise<string> =>
    JSON.stringify((await manifests({ networkPolicy })).find(({ kind }) => kind === "NetworkPolicy"));
  expect(await policyOf({})).toContain("8080");
  expect(await policyOf({ metricsFrom: [] })).not.toContain("8080");
});

interface Pod {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly containers: readonly {
          readonly name: string;
          readonly volumeMounts: readonly { readonly mountPath: string }[];
        }[];
      };
    };
  };
}

it.each([
  ["Deployment", "operator"],
  ["DaemonSet", "agent"],
])("gives no token to the engine in a %s, which strangers can speak to", async (kind, bearer) => {
  const pod = (await manifests({})).find((object) => object.kind === kind) as unknown as Pod;
  const { automountServiceAccountToken, containers } = pod.spec.template.spec;
  const bearers = containers.filter(({ volumeMounts }) =>
    volumeMounts.some(({ mountPath }) => mountPath.startsWith("/var/run/secrets/")),
  );
  expect(automountServiceAccountToken).toBe(false);
  expect(bearers.map(({ name }) => name)).toEqual([bearer]);
});

describe("wrong values are refused by name:", () => {
  it.each([
    ["a typo at the top", { operatr: {} }, "operatr"],
    ["a typo below", { operator: { replica: 2 } }, "replica"],
    ["a typo deep down", { agent: { engine: { priviledged: true } } }, "priviledged"],
    [
      "a typo in the Cluster",
      { cluster: { create: true, spec: { ...clusterSpec, trustDomian: "x" } } },
      "trustDomian",
    ],
    [
      "a Cluster without its pools",
      { cluster: { create: true, spec: { trustDomain: "x" } } },
      "addressPools",
    ],
    ["text for a number", { operator: { replicas: "two" } }, "/operator/replicas"],
    ["too many operators", { operator: { replicas: 50 } }, "/operator/replicas"],
    ["a level that is none", { agent: { logLevel: "chatty" } }, "/agent/logLevel"],
    ["a privileged port", { agent: { port: 443 } }, "/agent/port"],
    ["an MTU below IPv6's", { agent: { tunnel: { maxMtu: 576 } } }, "/agent/tunnel/maxMtu"],
    ["a server without https", { agent: { server: "fabric:8443" } }, "/agent/server"],
    ["a relative folder", { agent: { stateDir: "fabric" } }, "/agent/stateDir"],
    ["a folder below the root of the host", { agent: { stateDir: "/fabric" } }, "/agent/stateDir"],
    ["a folder that leads elsewhere", { agent: { stateDir: "/var/lib/../../etc" } }, "/agent/stateDir"],
    ["a size that is none", { database: { embedded: { size: "big" } } }, "/database/embedded/size"],
    ["a URL in the values", { database: { url: "postgresql://u:p@db/f" } }, "url"],
    [
      "an interval without a unit",
      { monitoring: { podMonitor: { interval: "30" } } },
      "/monitoring/podMonitor/interval",
    ],
  ])("%s", async (_what, values, field) => {
    expect(await refusal(values)).toContain(field);
  });

  it("two operators on the embedded database, and says what to do", async () => {
    expect(await refusal({ operator: { replicas: 2 } })).toMatch(
      /operator\.replicas is 2.*database\.urlSecret\.name/,
    );
  });

  it("agents alone that know no operator", async () => {
    expect(await refusal({ operator: { enabled: false } })).toMatch(
      /agent\.server, agent\.trust\.pin and agent\.trust\.ca/,
    );
  });

  it("a Cluster to make and nothing to make it of", async () => {
    expect(await refusal({ cluster: { create: true } })).toMatch(/cluster\.spec is empty/);
  });
});
