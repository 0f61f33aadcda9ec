/**
 * A node of the cluster lab: a machine of its own (machine.sh) with containerd, kubelet and kube-proxy.
 *
 *   <lab>/hosts/<node>/disk/      what the machine keeps
 *                     /etc/       configuration of the three
 *   <lab>/logs/<node>.{machine,containerd,kubelet,kube-proxy}.log
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts } from "../../bootstrap/artifacts.ts";
import { until } from "../../demo/wait.ts";
import type { Lab } from "../lab.ts";
import { type CommandOutput, inNamespace, runCommand } from "../namespaces.ts";
import { containerdConfig, kubeletConfig, kubeProxyConfig, networkConfig } from "./node-config.ts";
import { POD_NETWORK } from "./topology.ts";

const MACHINE = join(import.meta.dirname, "machine.sh");
const CONTAINERD_TIMEOUT_MS = 20_000;
const IMPORT_TIMEOUT_MS = 120_000;

export interface ClusterNodeOptions {
  /** Out of POD_NETWORK, and no other node's. */
  readonly podNetwork: string;
  /** Files of the control plane. */
  readonly kubeletKubeconfig: string;
  readonly kubeProxyKubeconfig: string;
  readonly caFile: string;
}

export interface ClusterNode {
  readonly name: string;
  readonly address: string;
  readonly podNetwork: string;
  /** What the machine keeps, as this machine sees it: `<disk>/var/lib/fabric` is the node's /var/lib/fabric. */
  readonly disk: string;
  /** Runs a command on the node, among its processes, mounts and networks. */
  run(command: readonly string[], timeoutMs?: number): Promise<CommandOutput>;
  /** Gives containerd an image of a docker-archive. */
  importImage(archive: string): Promise<void>;
  startKubelet(): void;
  /** Ends the machine at once, as a power cut does. */
  cutPower(): Promise<void>;
}

/** Boots the machine and its containerd. */
export async function bootClusterNode(
  lab: Lab,
  name: string,
  options: ClusterNodeOptions,
): Promise<ClusterNode> {
  const host = lab.host(name);
  const { podNetwork, kubeletKubeconfig, kubeProxyKubeconfig, caFile } = options;
  const { worker, containerRuntime } = artifacts();
  const env = { PATH: `${join(containerRuntime, "bin")}:${process.env["PATH"]}` };
  const programs = ["containerd", "kubelet", "kube-proxy"];

  const etc = join(host.directory, "etc");
  mkdirSync(join(etc, "cni"), { recursive: true });
  const write = (file: string, content: string | object): string => {
    const path = join(etc, file);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content, null, 2));
    return path;
  };
  write("cni/10-pods.conflist", networkConfig(podNetwork));
  const containerd = write("containerd.toml", containerdConfig(containerRuntime, join(etc, "cni")));
  const kubelet = write("kubelet.json", kubeletConfig(host.address, caFile));
  const kubeProxy = write("kube-proxy.json", kubeProxyConfig(kubeProxyKubeconfig));

  const add = (program: string, command: readonly string[]): void =>
    void lab.supervisor.add({
      name: `${name}/${program}`,
      command,
      env,
      logFile: join(lab.directory, "logs", `${name}.${program}.log`),
    });
  const onMachine = (command: readonly string[]): string[] => ["sh", MACHINE, "run", host.directory, ...command];
  const run = (command: readonly string[], timeoutMs?: number): Promise<CommandOutput> =>
    runCommand(onMachine(command), { env, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  const ctr = (words: readonly string[], timeoutMs?: number): Promise<CommandOutput> =>
    run(["ctr", "--namespace", "k8s.io", ...words], timeoutMs);

  await letPodsOut(host.namespace);
  add("machine", ["sh", MACHINE, "boot", host.namespace, host.directory, host.namespace]);
  await until(`${name} has booted`, async () => existsSync(join(host.directory, "booted")) || undefined, {
    timeoutMs: CONTAINERD_TIMEOUT_MS,
    everyMs: 10,
  });
  add("containerd", onMachine(["containerd", "--config", containerd]));
  await until(`containerd of ${name} answers`, () => ctr(["version"]), { timeoutMs: CONTAINERD_TIMEOUT_MS });

  return {
    name,
    address: host.address,
    podNetwork,
    disk: join(host.directory, "disk"),
    run,
    importImage: async (archive) => {
      await ctr(["images", "import", archive], IMPORT_TIMEOUT_MS);
    },
    startKubelet: () => {
      const identity = [`--hostname-override=${name}`, `--node-ip=${host.address}`];
      const access = [`--kubeconfig=${kubeletKubeconfig}`, `--config=${kubelet}`];
      add("kubelet", onMachine([worker, "kubelet", ...access, ...identity]));
      add("kube-proxy", onMachine([worker, "kube-proxy", `--config=${kubeProxy}`, `--hostname-override=${name}`]));
    },
    cutPower: async () => {
      const running = lab.supervisor.list().map((process) => process.name);
      const own = [...programs.toReversed(), "machine"].map((program) => `${name}/${program}`);
      for (const process of own.filter((each) => running.includes(each)))
        await lab.supervisor.stop(process, 0);
    },
  };
}

/** Towards anything but another pod, a pod bears its node's address: of the network, or of the overlay. */
async function letPodsOut(namespace: string): Promise<void> {
  const rules = `
    table ip pods {
      chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr ${POD_NETWORK} ip daddr != ${POD_NETWORK} masquerade
      }
    }`;
  await inNamespace(namespace, ["nft", "-f", "-"], { input: rules });
}
