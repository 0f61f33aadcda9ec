/** Configuration of a node's containerd, network plugins, kubelet and kube-proxy. */
import { POD_NETWORK } from "./topology.ts";

/** Made by the lab (pause-image.ts): there is no registry. */
export const PAUSE_IMAGE = "saf.local/pause:1";

export const CLUSTER_DOMAIN = "cluster.local";

const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";

export function containerdConfig(runtime: string, networkConfigs: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "${CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${runtime}/cni"
    conf_dir = "${networkConfigs}"
`;
}

/** A bridge on each node; the lab's own routes join them. */
export function networkConfig(podNetwork: string): object {
  return {
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      {
        type: "bridge",
        bridge: "pods",
        isDefaultGateway: true,
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet: podNetwork }]] },
      },
    ],
  };
}

export function kubeletConfig(address: string, nameServer: string, caFile: string): object {
  const none = "0%";
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: caFile },
    },
    authorization: { mode: "Webhook" },
    // Control groups of either version, without limits on the node's own programs.
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    // The disk and the memory are the whole machine's, whose other users are none of the node's business.
    localStorageCapacityIsolation: false,
    evictionHard: {
      "memory.available": none,
      "nodefs.available": none,
      "nodefs.inodesFree": none,
      "imagefs.available": none,
    },
    imageGCHighThresholdPercent: 100,
    imageMinimumGCAge: "24h",
    // As machine.sh shows it the kernel's settings; nothing of the real one is changed.
    protectKernelDefaults: true,
    makeIPTablesUtilChains: false,
    resolvConf: "/etc/resolv.conf",
    clusterDNS: [nameServer],
    clusterDomain: CLUSTER_DOMAIN,
    nodeStatusUpdateFrequency: "5s",
    maxPods: 50,
  };
}

export function kubeProxyConfig(kubeconfig: string): object {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig },
    mode: "nftables",
    clusterCIDR: POD_NETWORK,
    // The connection table's size is the machine's, not the node's.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    metricsBindAddress: "127.0.0.1:10249",
    healthzBindAddress: "127.0.0.1:10256",
  };
}
