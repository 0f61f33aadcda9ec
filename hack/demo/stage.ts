/** Everything the story is told with: the API server, the lab, the operator, the nodes, kubectl and `fabric`. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import type { Cluster, FabricNode } from "@saf/crds";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";
import { startControlPlane, type ControlPlane } from "../control-plane/control-plane.ts";
import { bundled } from "../images/bundle.ts";
import { createLab, type Lab } from "../lab/lab.ts";
import { runCommand } from "../lab/namespaces.ts";
import {
  addEngine,
  addOperator,
  ENROLMENT_PORT,
  FABRIC_PORT,
  operatorUser,
  programPaths,
} from "../lab/programs.ts";
import { fabricTopology } from "../lab/topology.ts";
import { createDemoNode, type DemoNode } from "./demo-node.ts";
import { watchPings, type PingWatch } from "./ping-watch.ts";
import { CLUSTER_NAME, fabricNodes, readCluster, type Kubectl } from "./resources.ts";
import { until } from "./wait.ts";
import { listenOn, type Wire } from "./wire.ts";

export const NAMESPACE = "home";
export const STRANGER = "stranger-1";
/** The five, and the role that each asks for. */
const ROLES = {
  "home-a": "vpn-connector",
  "home-b": "service-host",
  "usa-1": "relay",
  "ifcm-1": "vpn-exit",
  "test-1": "storage",
} as const;
export const FABRIC_NODES: readonly string[] = Object.keys(ROLES);

export interface Stage extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly lab: Lab;
  readonly wire: Wire;
  readonly kubectl: Kubectl;
  kubectlWith(input: string, ...args: string[]): Promise<string>;
  /** Runs `fabric` against the API server. */
  fabric(...args: string[]): Promise<string>;
  cluster(): Promise<Cluster>;
  readonly node: (name: string) => DemoNode;
  overlayOf(name: string): Promise<{ ipv4: string; ipv6: string }>;
  /** Applies manifests, rights and the Cluster, which are the platform owner's. */
  applyApi(): Promise<string>;
  startOperator(): Promise<void>;
  /** kill -9 for the operator, its engine and its PostgreSQL: what a lost pod or a power cut does. */
  killOperator(): Promise<void>;
  makeToken(): Promise<string>;
  tokenSecret(): string;
  tokenFile(): string;
  rolesOf(name: string): readonly string[];
  /** Resolves when every one of the five FabricNodes is Ready. */
  allReady(timeoutMs: number): Promise<void>;
  watchPings(pairs: readonly (readonly [string, string])[]): Promise<PingWatch>;
  remember(): Promise<void>;
  /** The last lines of every program's log. */
  lastWords(): Promise<string>;
  remembered(): { readonly nodes: readonly FabricNode[]; readonly requests: number };
}

export async function setStage(): Promise<Stage> {
  await using building = new AsyncDisposableStack();
  const controlPlane = building.use(await startControlPlane());
  const lab = building.use(await createLab(fabricTopology));
  const wire = await listenOn(lab.namespaceOf("internet"));
  await lab.openDoor("control", Number(new URL(controlPlane.url).port));
  const props = building.move();

  const env = { KUBECONFIG: controlPlane.kubeconfig };
  const kubectlWith = async (input: string, ...args: string[]): Promise<string> =>
    (
      await runCommand([artifacts().kubectl, "--namespace", NAMESPACE, ...args], { env, input })
    ).stdout.trim();
  const kubectl: Kubectl = (...args) => kubectlWith("", ...args);
  const fabric = async (...args: string[]): Promise<string> => {
    const command = [process.execPath, bundled("fabric"), "--namespace", NAMESPACE, ...args];
    return (await runCommand(command, { env })).stdout.trim();
  };

  const nodes = new Map(
    [...FABRIC_NODES, STRANGER].map((name, index) => [name, createDemoNode(lab, name, index)] as const),
  );
  const node = (name: string): DemoNode => {
    const found = nodes.get(name);
    if (!found) throw new Error(`no node ${name} in the demo`);
    return found;
  };
  const overlayOf = async (name: string): Promise<{ ipv4: string; ipv6: string }> => {
    const found = (await fabricNodes({ kubectl })).find(({ metadata }) => metadata.name === name);
    const { ipv4, ipv6 } = found?.status?.addresses ?? {};
    if (!ipv4 || !ipv6) throw new Error(`FabricNode ${name} has no address`);
    return { ipv4, ipv6 };
  };
  const tokenFile = join(lab.directory, "token");
  let token = "";
  let memory: { nodes: FabricNode[]; requests: number } | undefined;

  return {
    controlPlane,
    lab,
    wire,
    kubectl,
    kubectlWith,
    fabric,
    node,
    cluster: () => readCluster(kubectl),
    overlayOf,
    applyApi: async () => {
      await kubectl("create", "namespace", NAMESPACE);
      const applied = await kubectl("apply", "--filename", join(repositoryRoot, "crds/manifests"));
      await kubectl(
        "wait",
        "--for=condition=Established",
        "customresourcedefinition",
        "--all",
        "--timeout=10s",
      );
      const overlay = join(lab.directory, "rights");
      mkdirSync(overlay);
      const base = relative(overlay, join(repositoryRoot, "operator/manifests"));
      writeFileSync(
        join(overlay, "kustomization.yaml"),
        `namespace: ${NAMESPACE}\nresources:\n  - ${base}\n`,
      );
      await kubectl("apply", "--kustomize", overlay);
      await kubectlWith(clusterManifest(lab.host("control").address), "apply", "--filename", "-");
      return applied;
    },
    startOperator: async () => {
      if (lab.supervisor.list().some(({ name }) => name === "control/operator")) {
        lab.supervisor.start("control/engine");
        lab.supervisor.start("control/operator");
        return;
      }
      const kubeconfig = await controlPlane.kubeconfigFor({
        namespace: NAMESPACE,
        serviceAccount: "fabric-operator",
      });
      addEngine(lab, "control", { serves: "operator", user: operatorUser });
      addOperator(lab, "control", { namespace: NAMESPACE, kubeconfig });
    },
    killOperator: async () => {
      await lab.supervisor.killHard("control/operator", { stayDown: true });
      await lab.supervisor.killHard("control/engine", { stayDown: true });
      await killDatabase(programPaths(lab.host("control"), "operator").stateDir);
    },
    makeToken: async () => {
      const roles = Object.values(ROLES).flatMap((role) => ["--role", role]);
      const made = JSON.parse(
        await fabric("-o", "json", "token", "create", "--uses", "6", "--expires", "1h", ...roles),
      ) as {
        name: string;
        token: string;
      };
      token = made.token;
      writeFileSync(tokenFile, token, { mode: 0o600 });
      return made.name;
    },
    tokenSecret: () => token.split(".")[2] ?? "",
    tokenFile: () => tokenFile,
    rolesOf: (name) => (name in ROLES ? [ROLES[name as keyof typeof ROLES]] : []),
    allReady: async (timeoutMs) => {
      await until(
        "every FabricNode is Ready",
        async () => {
          const seen = await fabricNodes({ kubectl });
          const unready = seen.flatMap(({ metadata, status }) => {
            const ready = status?.conditions?.find(({ type }) => type === "Ready");
            return ready?.status === "True" ? [] : [`${metadata.name}: ${ready?.reason ?? "no status"}`];
          });
          if (unready.length > 0) throw new Error(unready.join(", "));
          return seen.length === FABRIC_NODES.length ? true : undefined;
        },
        { timeoutMs },
      );
    },
    watchPings: async (pairs) =>
      watchPings(
        await Promise.all(
          pairs.map(async ([from, to]) => ({ from: lab.host(from), address: (await overlayOf(to)).ipv6 })),
        ),
      ),
    remember: async () => {
      const requests = JSON.parse(await kubectl("get", "joinrequests", "--output=json")) as {
        items: unknown[];
      };
      memory = { nodes: await fabricNodes({ kubectl }), requests: requests.items.length };
    },
    remembered: () => {
      if (!memory) throw new Error("nothing to compare with");
      return memory;
    },
    lastWords: async () =>
      globSync(join(lab.directory, "logs/*.log"))
        .map(
          (file) =>
            `    ${basename(file)}\n${readFileSync(file, "utf8").trimEnd().split("\n").slice(-20).join("\n")}`,
        )
        .join("\n"),
    [Symbol.asyncDispose]: async () => {
      await wire.stop();
      await props.disposeAsync();
    },
  };
}

function clusterManifest(control: string): string {
  return JSON.stringify({
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: CLUSTER_NAME, namespace: NAMESPACE },
    spec: {
      trustDomain: "home.example",
      reachability: "Mesh",
      addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a:f00d::/64" },
      endpoints: {
        enrolment: [`https://${control}:${ENROLMENT_PORT}`],
        control: [`${control}:${FABRIC_PORT}`],
      },
    },
  });
}

/** The postmaster and its children; the first line of its pid file is its process id. */
async function killDatabase(dataDirectory: string): Promise<void> {
  const [file] = globSync("**/postmaster.pid", { cwd: dataDirectory });
  if (!file) throw new Error("the embedded PostgreSQL is not running");
  const postmaster = Number(readFileSync(join(dataDirectory, file), "utf8").split("\n")[0]);
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, "utf8").trim().split(" ");
  for (const pid of [postmaster, ...children.filter(Boolean).map(Number)]) process.kill(pid, "SIGKILL");
}
