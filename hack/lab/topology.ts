/**
 * A network as data: Ethernets, the routers between them, the hosts on them. `createLab` makes it real.
 */
import { LabError } from "./errors.ts";

export interface Topology {
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  readonly routers: Readonly<Record<string, RouterSpec>>;
  readonly hosts: Readonly<Record<string, HostSpec>>;
}

/** One Ethernet: a bridge. With gateways it also routes between its own subnets, as a provider does. */
export interface NetworkSpec {
  /** Addresses of the bridge, with prefix length. */
  readonly gateways: readonly string[];
}

export interface Attachment {
  readonly network: string;
  /** IPv4 address with prefix length. */
  readonly address: string;
}

/** A home's router: hides `inside` behind its one address of `outside` and lets nothing in that was not asked for. */
export interface RouterSpec {
  readonly inside: Attachment;
  readonly outside: Attachment;
  readonly gateway: string;
}

export interface HostSpec extends Attachment {
  readonly gateway: string;
}

/**
 *   home-a ─┐
 *           ├─ home-lan ── home-router (NAT) ─┐
 *   home-b ─┘  192.168.77.0/24                │
 *                                             ├─ internet   203.0.113.0/24 (TEST-NET-3)
 *   usa-1 · ifcm-1 · test-1 · stranger-1 ─────┤             198.51.100.0/24 (TEST-NET-2)
 *   control (operator) ───────────────────────┘
 */
export const fabricTopology: Topology = {
  networks: {
    internet: { gateways: ["203.0.113.1/24", "198.51.100.1/24"] },
    "home-lan": { gateways: [] },
  },
  routers: {
    "home-router": {
      inside: { network: "home-lan", address: "192.168.77.1/24" },
      outside: { network: "internet", address: "203.0.113.10/24" },
      gateway: "203.0.113.1",
    },
  },
  hosts: {
    "home-a": { network: "home-lan", address: "192.168.77.11/24", gateway: "192.168.77.1" },
    "home-b": { network: "home-lan", address: "192.168.77.12/24", gateway: "192.168.77.1" },
    "usa-1": { network: "internet", address: "198.51.100.21/24", gateway: "198.51.100.1" },
    "ifcm-1": { network: "internet", address: "203.0.113.31/24", gateway: "203.0.113.1" },
    "test-1": { network: "internet", address: "203.0.113.41/24", gateway: "203.0.113.1" },
    "stranger-1": { network: "internet", address: "198.51.100.66/24", gateway: "198.51.100.1" },
    control: { network: "internet", address: "203.0.113.5/24", gateway: "203.0.113.1" },
  },
};

/** Names become namespaces and, in the network's namespace, interfaces: 15 bytes (IFNAMSIZ less its zero), and not the bridge's. */
const NAME = /^(?!bridge$)[a-z][a-z0-9-]{0,14}$/;

/** Throws TOPOLOGY_INVALID for a description that cannot be built. */
export function checkTopology({ networks, routers, hosts }: Topology): void {
  const invalid = (message: string): never => {
    throw new LabError("TOPOLOGY_INVALID", message);
  };
  const names = [networks, routers, hosts].flatMap((part) => Object.keys(part));
  for (const [index, name] of names.entries()) {
    if (!NAME.test(name)) invalid(`${name}: names are 1 to 15 of a-z, 0-9 and -, and not bridge`);
    if (names.indexOf(name) !== index) invalid(`${name} is defined twice`);
  }
  const attachments = [
    ...Object.values(routers).flatMap(({ inside, outside }) => [inside, outside]),
    ...Object.values(hosts),
  ];
  for (const [index, { network, address }] of attachments.entries()) {
    if (!(network in networks)) invalid(`${address} is on ${network}, which is not defined`);
    if (attachments.findIndex((other) => other.address === address) !== index)
      invalid(`${address} is given twice`);
  }
}

/** The address without its prefix length. */
export function bareAddress(address: string): string {
  return address.split("/", 1)[0]!;
}
