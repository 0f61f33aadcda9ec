/**
 * Where nodes stand: which of their addresses lead to them, and for whom.
 *
 * natGroup  the address under which the operator sees a node: nodes with the same one share an egress
 * locality  nodes that reach each other by private addresses: declared, or derived (same natGroup and a private subnet in common)
 *
 * Private addresses mean nothing outside their network, and may there be somebody else's: they go only to the same locality.
 */
import { createHash } from "node:crypto";
import {
  AddressError,
  addressToNumber,
  cidrContains,
  formatCidr,
  parseCidr,
  parseEndpoint,
} from "@saf/protocol";
import { MAX_CANDIDATES, type Candidate, type Cidr, type Endpoint } from "@saf/protocol";
import type { FleetNode } from "./fleet-node.ts";

export interface Place {
  readonly natGroup: string | null;
  readonly locality: string | null;
  /** Best first: private, host, mapped. */
  readonly candidates: readonly Candidate[];
}

export const NOWHERE: Place = { natGroup: null, locality: null, candidates: [] };

/** RFC 1918, RFC 4193, RFC 3927. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"].map(
  parseCidr,
);
/**
 * Nobody can dial these: unspecified, loopback, multicast and above, and IPv6 link-local without its zone. Nor IPv4 written as IPv6, which
 * would lead peers to their own loopback and networks past all the rules here, nor discard-only addresses (RFC 6666), which stand for
 * relays inside an engine.
 */
const USELESS = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "224.0.0.0/3",
  "::/127",
  "::ffff:0:0/96",
  "100::/64",
  "fe80::/10",
  "ff00::/8",
].map(parseCidr);
/** What most private networks are cut into. A guess: a wrong one costs a failed probe, and `localityGroup` overrides it. */
const SUBNET_LENGTH = { 4: 24, 6: 64 } as const;
/** As localityGroup is bounded in the schema. */
const MAX_LABEL_LENGTH = 63;
const ORDER = { private: 0, host: 1, mapped: 2 } as const;

/** @param pools the overlay's own prefixes: an address in them is inside the tunnel and leads nowhere outside it. */
export function placeNodes(
  nodes: readonly FleetNode[],
  pools: { readonly ipv4: string; readonly ipv6: string },
): ReadonlyMap<string, Place> {
  const unusable = [...USELESS, parseCidr(pools.ipv4), parseCidr(pools.ipv6)];
  const sights = nodes.map((node) => ({
    node,
    natGroup: natGroupOf(node),
    candidates: classify(node, unusable),
  }));
  const derived = deriveLocalities(sights);
  return new Map(
    sights.map(({ node, natGroup, candidates }) => {
      const locality = node.declaredLocality ?? derived.get(node.nodeId) ?? null;
      return [node.nodeId, { natGroup, locality, candidates }];
    }),
  );
}

/**
 * The candidates of `of` that a node standing at `viewer` may use. A mapped address is known to us, but most NATs let nobody in
 * by it who was not asked for: it leads nowhere until both sides punch through together.
 */
export function candidatesFor(viewer: Place, of: Place): readonly Candidate[] {
  const together = areTogether(viewer, of);
  return of.candidates.filter(({ kind }) => kind === "host" || (kind === "private" && together));
}

export function areTogether(a: Place, b: Place): boolean {
  return a.locality !== null && a.locality === b.locality;
}

function natGroupOf({ observed }: FleetNode): string | null {
  return observed === null ? null : (endpointOf(observed)?.address ?? null);
}

function classify({ reported, observed }: FleetNode, unusable: readonly Cidr[]): Candidate[] {
  const seen = observed === null ? undefined : endpointOf(observed);
  const usable = (endpoint: string): boolean => {
    const address = endpointOf(endpoint)?.address;
    return address !== undefined && !unusable.some((cidr) => cidrContains(cidr, address));
  };
  const own = [...new Set(reported)].filter(usable).map((endpoint): Candidate => {
    const address = endpointOf(endpoint)?.address ?? "";
    return { endpoint, kind: isPrivate(address) && address !== seen?.address ? "private" : "host" };
  });
  const mapped: Candidate[] =
    observed !== null && usable(observed) && !reported.includes(observed)
      ? [{ endpoint: observed, kind: "mapped" }]
      : [];
  return [...own.slice(0, MAX_CANDIDATES - mapped.length), ...mapped].sort(
    (a, b) => ORDER[a.kind] - ORDER[b.kind],
  );
}

interface Sight {
  readonly node: FleetNode;
  readonly natGroup: string | null;
  readonly candidates: readonly Candidate[];
}

/** Nodes behind one NAT are joined through every private subnet that they share; a group is named after its lowest subnet. */
function deriveLocalities(sights: readonly Sight[]): ReadonlyMap<string, string> {
  const parent = new Map<string, string>();
  const rootOf = (key: string): string => {
    const up = parent.get(key) ?? key;
    return up === key ? key : rootOf(up);
  };
  const keysOf = ({ natGroup, candidates }: Sight): string[] =>
    natGroup === null
      ? []
      : [...new Set(candidates.filter(isPrivateKind).map(subnetOf))].map((net) => `${natGroup} ${net}`);
  for (const sight of sights) {
    const keys = keysOf(sight);
    for (const key of keys) {
      const [low = key, high = key] = [rootOf(keys[0] ?? key), rootOf(key)].sort();
      parent.set(high, low);
    }
  }
  return new Map(
    sights.flatMap((sight) => {
      const [first] = keysOf(sight);
      return first === undefined ? [] : [[sight.node.nodeId, labelFor(rootOf(first))] as const];
    }),
  );
}

function isPrivateKind({ kind }: Candidate): boolean {
  return kind === "private";
}

function isPrivate(address: string): boolean {
  return PRIVATE.some((cidr) => cidrContains(cidr, address));
}

function subnetOf({ endpoint }: Candidate): string {
  const { address } = parseEndpoint(endpoint);
  const family = address.includes(":") ? 6 : 4;
  const prefixLength = SUBNET_LENGTH[family];
  const hostBits = BigInt((family === 4 ? 32 : 128) - prefixLength);
  return formatCidr({ family, prefixLength, base: (addressToNumber(address) >> hostBits) << hostBits });
}

/** In the form of a Kubernetes label's value. */
function labelFor(key: string): string {
  const label = `nat-${key.replaceAll(/[^A-Za-z0-9.]+/g, "-")}`;
  if (label.length <= MAX_LABEL_LENGTH) return label;
  return `locality-${createHash("sha256").update(key).digest("hex").slice(0, 16)}`;
}

function endpointOf(text: string): Endpoint | undefined {
  try {
    return parseEndpoint(text);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}
