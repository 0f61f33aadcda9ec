/**
 * A node's snapshot: everything one node needs to live by until it expires, and nothing about the rest of the fabric.
 * It is complete: what is not in it is no longer allowed.
 */
import { z } from "zod";
import { FINGERPRINT_PATTERN } from "../identity/fingerprint.ts";
import { NODE_ID_PATTERN, NODE_NAME_PATTERN } from "../identity/spiffe.ts";
import { MAX_ENDPOINT_LENGTH } from "../ip/endpoint.ts";
import { DEFAULT_TRAFFIC_RULES, trafficRules } from "./traffic-rule.ts";

/** A host with more addresses than this tells the first ones; each costs its peers a dial. */
export const MAX_CANDIDATES = 16;
/** Two thousand peers with their candidates fit into MAX_DOCUMENT_BYTES. */
export const MAX_PEERS = 2000;
/** Only those whose certificates still run need naming; a fifth of the largest snapshot. */
export const MAX_REVOCATIONS = 2000;

/** With a node's name before it, it stays below the 253 characters of a DNS name. */
export const MAX_ZONE_LENGTH = 189;
const ZONE_PATTERN = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;

const nodeId = z.string().regex(NODE_ID_PATTERN);
const nodeName = z.string().regex(NODE_NAME_PATTERN);
const fingerprint = z.string().regex(FINGERPRINT_PATTERN);
const endpoint = z.string().max(MAX_ENDPOINT_LENGTH);
const addresses = z.object({ ipv4: z.ipv4(), ipv6: z.ipv6() });

/**
 * Where a node may be reached. `host`: an address of one of its interfaces that everyone may use; `private`: one that only
 * its own locality may use; `mapped`: what the operator saw it come from.
 */
export const candidate = z.object({ endpoint, kind: z.enum(["host", "private", "mapped"]) });
export type Candidate = z.infer<typeof candidate>;

export const snapshotPeer = z.object({
  nodeId,
  nodeName,
  fingerprint,
  addresses,
  candidates: z.array(candidate).max(MAX_CANDIDATES),
});
export type SnapshotPeer = z.infer<typeof snapshotPeer>;

export const nodeSnapshotBody = z.object({
  nodeId,
  nodeName,
  roles: z.array(z.string().max(32)).max(32),
  addresses,
  /** The whole overlay: what is routed into the tunnel. */
  pools: z.object({ ipv4: z.cidrv4(), ipv6: z.cidrv6() }),
  /** Largest inner packet, bytes. */
  mtu: z.int().min(1280).max(9000),
  control: z.object({
    endpoints: z.array(endpoint).min(1).max(8),
    spiffeId: z.string().max(128),
    fingerprint,
  }),
  peers: z.array(snapshotPeer).max(MAX_PEERS),
  /** Nodes to refuse whatever their certificates say. */
  revoked: z.array(z.object({ nodeId, fingerprint, reason: z.string().max(256) })).max(MAX_REVOCATIONS),
  /** Below it every node of the cluster has its name. Absent in snapshots from before there were names. */
  zone: z.string().max(MAX_ZONE_LENGTH).regex(ZONE_PATTERN).optional(),
  /** Absent in snapshots from before there were rules. */
  trafficRules: trafficRules.default(DEFAULT_TRAFFIC_RULES),
  /** The trust root in force (a signed document of its own), so that its rotation travels with the snapshot. */
  trustRoot: z.string().max(65536),
});
export type NodeSnapshotBody = z.infer<typeof nodeSnapshotBody>;
