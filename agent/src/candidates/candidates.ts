/** Where peers may reach this node: the addresses of its interfaces that lead somewhere. Pure but for `readInterfaces`. */
import os, { type NetworkInterfaceInfo } from "node:os";
import { cidrContains, formatEndpoint, MAX_CANDIDATES, parseCidr } from "@saf/protocol";

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

export interface CandidateRules {
  readonly listenPort: number;
  /** `ip:port` that the configuration adds: a forwarded port, a public address. These come first. */
  readonly advertise: readonly string[];
  /** Names of interfaces that lead nowhere for peers: the tunnel's own, container bridges. */
  readonly excludeInterfaces: readonly string[];
  /** The overlay's own prefixes: a path to a peer never leads through the overlay. */
  readonly overlay: readonly string[];
}

export function gatherCandidates(interfaces: Interfaces, rules: CandidateRules): readonly string[] {
  const overlay = rules.overlay.map(parseCidr);
  const local = Object.entries(interfaces)
    .filter(([name]) => !rules.excludeInterfaces.includes(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
    .filter(({ address }) => !overlay.some((prefix) => cidrContains(prefix, address)))
    .map(({ address }) => formatEndpoint({ address, port: rules.listenPort }));
  // Sorted, so that the order in which the kernel lists interfaces is no change.
  return [...new Set([...rules.advertise, ...local.toSorted()])].slice(0, MAX_CANDIDATES);
}

export function readInterfaces(): Interfaces {
  return os.networkInterfaces();
}

/** RFC 3927 §2.1 and RFC 4291 §2.5.6. */
function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}
