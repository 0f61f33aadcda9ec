/**
 * The cluster lab's network:
 *
 *   home-a ── home-lan ── home-router (NAT) ─┐
 *             192.168.77.0/24                ├─ internet   203.0.113.0/24 (TEST-NET-3)
 *   control (API server and controllers) ────┤
 *   node-1 · node-2 · node-3 (kubelets) ─────┘
 *
 * Pods have addresses of 10.244.0.0/16, services of 10.96.0.0/16. What leaves the pods' network bears its node's address.
 */
import type { Topology } from "../topology.ts";

export const CONTROL = "control";
export const OFF_CLUSTER = "home-a";
export const NODES = ["node-1", "node-2", "node-3"] as const;
export const POD_NETWORK = "10.244.0.0/16";

const gateway = "203.0.113.1";
const onInternet = (host: number) => ({ network: "internet", address: `203.0.113.${host}/24`, gateway });

export const clusterTopology: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24"] }, "home-lan": { gateways: [] } },
  routers: {
    "home-router": {
      inside: { network: "home-lan", address: "192.168.77.1/24" },
      outside: { network: "internet", address: "203.0.113.10/24" },
      gateway,
    },
  },
  hosts: {
    [CONTROL]: onInternet(5),
    ...Object.fromEntries(NODES.map((name, index) => [name, onInternet(11 + index)])),
    [OFF_CLUSTER]: { network: "home-lan", address: "192.168.77.11/24", gateway: "192.168.77.1" },
  },
};
