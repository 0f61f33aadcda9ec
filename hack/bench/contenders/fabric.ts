/**
 * The fabric as a user runs it: two enrolled and approved nodes, each with its agent and its engine, living by signed snapshots
 * from an operator that takes its resources from a real API server. The control plane stays up, idle, behind a bridge of its own.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Cluster, FabricNode, JoinRequest } from "@saf/crds";
import { artifacts, repositoryRoot } from "../../bootstrap/artifacts.ts";
import { startControlPlane, type ControlPlane } from "../../control-plane/control-plane.ts";
import { until } from "../../demo/wait.ts";
import { bundled } from "../../images/bundle.ts";
import { runCommand } from "../../lab/namespaces.ts";
import {
  addAgent,
  addEngine,
  addOperator,
  agentUser,
  ENROLMENT_PORT,
  FABRIC_PORT,
  operatorUser,
} from "../../lab/programs.ts";
import type { InnerAddresses, Tunnel } from "../contender.ts";
import { slotDevices } from "../device.ts";
import { packetsCross } from "../packets-cross.ts";
import { transfer } from "../traffic.ts";
import { CONTROL_INTERFACE, type Testbed } from "../testbed.ts";
import type { Side } from "../wires.ts";

const NAMESPACE = "bench";
const CLUSTER = "bench";
const WARM_UP_SECONDS = 1;
const SIDES = ["left", "right"] as const;

export interface FabricOptions {
  /** Of the overlay. */
  readonly mtu: number;
}

/** Two nodes under one control plane. */
export interface FabricPair extends AsyncDisposable {
  /** As its own tunnel, with that setting of the engine; restarts the engines when they have the other. */
  tunnel(realTime: boolean): Promise<Tunnel>;
  killAgent(side: Side): Promise<void>;
}

/** Resolves when both nodes are Ready: eleven seconds on two cores. */
export async function startFabricPair(bed: Testbed, { mtu }: FabricOptions): Promise<FabricPair> {
  await using building = new AsyncDisposableStack();
  const controlPlane = building.use(await startControlPlane({ controllerManager: false }));
  const { lab } = bed;
  await lab.openDoor(bed.control.name, Number(new URL(controlPlane.url).port));
  const kubectl = kubectlOf(controlPlane);
  await applyIntent(bed, kubectl, mtu);
  await startOperator(bed, controlPlane, kubectl);
  await startNodes(bed, await makeToken(controlPlane));
  await approveAll(kubectl);
  const inner = await readyNodes(kubectl);
  const all = building.move();

  const { supervisor } = lab;
  const pidsOf = (program: string): number[] =>
    SIDES.flatMap((side) => supervisor.get(`${side}/${program}`).pid ?? []);
  let present = true;
  /** Resolves to whether the engines were started again. */
  const setRealTime = async (wanted: boolean): Promise<boolean> => {
    if (present === wanted) return false;
    await Promise.all(SIDES.map((side) => supervisor.stop(`${side}/engine`)));
    for (const side of SIDES) {
      const path = join(lab.host(side).directory, "engine.json");
      const config = JSON.parse(readFileSync(path, "utf8")) as object;
      writeFileSync(path, JSON.stringify({ ...config, realTime: wanted }, null, 2));
      supervisor.start(`${side}/engine`);
    }
    present = wanted;
    return true;
  };
  return {
    tunnel: async (realTime) => {
      const ready = async (): Promise<void> => {
        const restarted = await setRealTime(realTime);
        await packetsCross(bed.left, inner.right.ipv4);
        // A session is not measured in its first second: what it has yet to learn about its path it has learned then.
        if (restarted) await transfer(bed, { to: inner.right.ipv4, seconds: WARM_UP_SECONDS });
      };
      await ready();
      return {
        ...inner,
        pids: () => pidsOf("engine"),
        agentPids: () => pidsOf("agent"),
        ready,
        stop: async () => {},
      };
    },
    killAgent: (side) => supervisor.killHard(`${side}/agent`),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

type Kubectl = (input: string, ...args: string[]) => Promise<string>;

function kubectlOf({ kubeconfig }: ControlPlane): Kubectl {
  return async (input, ...args) => {
    const command = [artifacts().kubectl, "--namespace", NAMESPACE, ...args];
    return (await runCommand(command, { env: { KUBECONFIG: kubeconfig }, input })).stdout.trim();
  };
}

async function applyIntent(bed: Testbed, kubectl: Kubectl, mtu: number): Promise<void> {
  await kubectl("", "create", "namespace", NAMESPACE);
  await kubectl("", "apply", "--filename", join(repositoryRoot, "crds/manifests"));
  await kubectl(
    "",
    "wait",
    "--for=condition=Established",
    "customresourcedefinition",
    "--all",
    "--timeout=10s",
  );
  const base = relative(bed.lab.directory, join(repositoryRoot, "operator/manifests"));
  writeFileSync(
    join(bed.lab.directory, "kustomization.yaml"),
    `namespace: ${NAMESPACE}\nresources:\n  - ${base}\n`,
  );
  await kubectl("", "apply", "--kustomize", bed.lab.directory);
  const { address } = bed.control;
  const cluster = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name: CLUSTER, namespace: NAMESPACE },
    spec: {
      trustDomain: "bench.example",
      reachability: "Mesh",
      addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a:f00d::/64" },
      tunnel: { mtu },
      endpoints: {
        enrolment: [`https://${address}:${ENROLMENT_PORT}`],
        control: [`${address}:${FABRIC_PORT}`],
      },
    },
  };
  await kubectl(JSON.stringify(cluster), "apply", "--filename", "-");
}

async function startOperator(bed: Testbed, controlPlane: ControlPlane, kubectl: Kubectl): Promise<void> {
  const account = { namespace: NAMESPACE, serviceAccount: "fabric-operator" };
  const kubeconfig = await controlPlane.kubeconfigFor(account);
  addEngine(bed.lab, "control", { serves: "operator", user: operatorUser });
  addOperator(bed.lab, "control", { namespace: NAMESPACE, kubeconfig });
  await until(
    "the operator leads",
    async () => {
      const { status } = await read<Cluster>(kubectl, "cluster.fabric.saf.dev", CLUSTER);
      return (
        status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") || undefined
      );
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
}

async function makeToken({ kubeconfig }: ControlPlane): Promise<string> {
  const fabric = [process.execPath, bundled("fabric"), "--namespace", NAMESPACE];
  const create = ["-o", "json", "token", "create", "--uses", "2", "--expires", "1h", "--role", "storage"];
  const { stdout } = await runCommand([...fabric, ...create], { env: { KUBECONFIG: kubeconfig } });
  return (JSON.parse(stdout) as { token: string }).token;
}

async function startNodes(bed: Testbed, token: string): Promise<void> {
  const server = `https://${bed.control.address}:${ENROLMENT_PORT}`;
  const elsewhere = [CONTROL_INTERFACE, ...slotDevices];
  for (const [index, side] of SIDES.entries()) {
    const user = agentUser(index);
    addEngine(bed.lab, side, { serves: "agent", user, settings: { realTime: true } });
    const settings = {
      join: {
        server,
        tokenFile: join(bed.lab.host(side).directory, "agent/join-token"),
        requestedRoles: ["storage"],
      },
      candidateInterfacesExclude: elsewhere,
    };
    addAgent(bed.lab, side, { user, join: { server, token }, settings });
  }
}

async function approveAll(kubectl: Kubectl): Promise<void> {
  const pending = await until(
    "both ask to join",
    async () => {
      const { items } = await read<{ items: JoinRequest[] }>(kubectl, "joinrequests");
      const asked = items.filter(({ status }) => status?.decision === "Pending");
      return asked.length === SIDES.length ? asked : undefined;
    },
    { timeoutMs: 30_000, everyMs: 200 },
  );
  const patch = JSON.stringify({ spec: { approvals: [{ user: "admin", decision: "Approve" }] } });
  for (const { metadata } of pending)
    await kubectl("", "patch", "joinrequest", metadata.name, "--type=merge", `--patch=${patch}`);
}

async function readyNodes(kubectl: Kubectl): Promise<Record<Side, InnerAddresses>> {
  const nodes = await until(
    "both nodes are Ready",
    async () => {
      const { items } = await read<{ items: FabricNode[] }>(kubectl, "fabricnodes");
      const ready = items.filter(({ status }) =>
        status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
      );
      return ready.length === SIDES.length ? ready : undefined;
    },
    { timeoutMs: 30_000, everyMs: 200 },
  );
  const inner = (side: Side): InnerAddresses => {
    const { ipv4, ipv6 } = nodes.find(({ metadata }) => metadata.name === side)?.status?.addresses ?? {};
    if (!ipv4 || !ipv6) throw new Error(`FabricNode ${side} has no address`);
    return { ipv4, ipv6 };
  };
  return { left: inner("left"), right: inner("right") };
}

async function read<T>(kubectl: Kubectl, ...what: string[]): Promise<T> {
  return JSON.parse(await kubectl("", "get", ...what, "--output=json")) as T;
}
