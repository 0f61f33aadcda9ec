/**
 * Intent and observations in, one snapshot content for each node out. Pure: the same input gives the same bytes, so that equal
 * contents need no new decision.
 *
 * Each node receives only what its state allows: an active one its roles and (under reachability Mesh) every other active node as
 * a peer; a suspended one itself and the way to the operator; a revoked one nothing. Everyone learns who is revoked.
 */
import type { ClusterSpec, RoleAssignment } from "@saf/crds";
import {
  CLOCK_SKEW_SECONDS,
  DEFAULT_TRAFFIC_RULES,
  MAX_PEERS,
  MAX_REVOCATIONS,
  type Candidate,
  type NodeSnapshotBody,
  type SnapshotPeer,
} from "@saf/protocol";
import type { SnapshotContent } from "../../authority/authority.ts";
import type { FleetNode } from "./fleet-node.ts";
import { areTogether, candidatesFor, NOWHERE, placeNodes, type Place } from "./place.ts";
import { rolesInForce, type RolesInForce } from "./roles.ts";

export interface CompileInput {
  readonly cluster: Pick<
    ClusterSpec,
    "reachability" | "addressPools" | "tunnel" | "endpoints" | "dns" | "trafficRules"
  > & { readonly name: string };
  /** The operator's own end of control sessions. */
  readonly control: { readonly spiffeId: string; readonly fingerprint: string };
  readonly nodes: readonly FleetNode[];
  readonly assignments: readonly RoleAssignment[];
  readonly nowMs: number;
}

export interface Compiled extends RolesInForce {
  /** By node id, for every node that is not revoked. */
  readonly contents: ReadonlyMap<string, SnapshotContent>;
  readonly places: ReadonlyMap<string, Place>;
}

export function compileSnapshots(input: CompileInput): Compiled {
  const nodes = [...input.nodes].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  const places = placeNodes(nodes, input.cluster.addressPools);
  const held = rolesInForce(input.assignments, nodes, input.nowMs);
  const active = nodes
    .filter(({ state }) => state === "Active")
    .map((node) => portraitOf(node, places.get(node.nodeId) ?? NOWHERE));
  const revoked = revocations(nodes, input.nowMs);
  const meshed = input.cluster.reachability === "Mesh";
  const contents = nodes
    .filter(({ state }) => state !== "Revoked")
    .map((node): [string, SnapshotContent] => {
      const place = places.get(node.nodeId) ?? NOWHERE;
      const peers = meshed && node.state === "Active" ? peersOf(node, place, active) : [];
      const roles = [...(held.roles.get(node.nodeId) ?? [])];
      return [node.nodeId, contentFor(node, input, { roles, peers, revoked })];
    });
  return { ...held, contents: new Map(contents), places };
}

function contentFor(
  { nodeId, nodeName, addresses }: FleetNode,
  { cluster, control }: CompileInput,
  rest: Pick<SnapshotContent, "roles" | "peers" | "revoked">,
): SnapshotContent {
  return {
    nodeId,
    nodeName,
    roles: rest.roles,
    addresses: { ipv4: addresses.ipv4, ipv6: addresses.ipv6 },
    pools: { ipv4: cluster.addressPools.ipv4, ipv6: cluster.addressPools.ipv6 },
    mtu: cluster.tunnel.mtu,
    control: {
      endpoints: [...cluster.endpoints.control],
      spiffeId: control.spiffeId,
      fingerprint: control.fingerprint,
    },
    peers: rest.peers,
    revoked: rest.revoked,
    zone: `${cluster.name}.${cluster.dns.domain}`,
    trafficRules: cluster.trafficRules ?? DEFAULT_TRAFFIC_RULES,
  };
}

/** A node as its peers see it. Every viewer is given one of these two, so a mesh costs references, not copies. */
interface Portrait {
  readonly place: Place;
  readonly atHome: SnapshotPeer;
  readonly elsewhere: SnapshotPeer;
}

function portraitOf(node: FleetNode, place: Place): Portrait {
  const { nodeId, nodeName, fingerprint } = node;
  const addresses = { ipv4: node.addresses.ipv4, ipv6: node.addresses.ipv6 };
  const seenWith = (candidates: readonly Candidate[]): SnapshotPeer => ({
    nodeId,
    nodeName,
    fingerprint,
    addresses,
    candidates: [...candidates],
  });
  return {
    place,
    atHome: seenWith(candidatesFor(place, place)),
    elsewhere: seenWith(candidatesFor(NOWHERE, place)),
  };
}

function peersOf(node: FleetNode, place: Place, active: readonly Portrait[]): SnapshotPeer[] {
  return active
    .filter(({ atHome }) => atHome.nodeId !== node.nodeId)
    .slice(0, MAX_PEERS)
    .map((peer) => (areTogether(place, peer.place) ? peer.atHome : peer.elsewhere));
}

/** A revoked node whose certificate has run out is refused anyway. If they are too many, those valid longest are named. */
function revocations(nodes: readonly FleetNode[], nowMs: number): NodeSnapshotBody["revoked"] {
  const oldest = nowMs / 1000 - CLOCK_SKEW_SECONDS;
  return nodes
    .filter(({ state, certificateNotAfter }) => state === "Revoked" && (certificateNotAfter ?? 0) > oldest)
    .sort((a, b) => (b.certificateNotAfter ?? 0) - (a.certificateNotAfter ?? 0))
    .slice(0, MAX_REVOCATIONS)
    .map(({ nodeId, fingerprint, revokedReason }) => ({
      nodeId,
      fingerprint,
      reason: revokedReason.slice(0, 256),
    }));
}
