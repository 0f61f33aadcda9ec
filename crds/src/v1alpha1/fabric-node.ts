/** FabricNode: a member of the fabric cluster. Made by the operator on approval; the owner suspends or revokes it. */
import { z } from "zod";
import { defineKind } from "../schema/kind.ts";
import { ageColumn, conditions, readyColumn, reasonColumn } from "./condition.ts";
import {
  counter,
  dateTime,
  fingerprint,
  groupName,
  groupPath,
  immutable,
  ipv4Address,
  ipv6Address,
  nameIsLabel,
  nodeCount,
  observedGeneration,
  reasonText,
  socketAddress,
  uuid,
} from "./fields.ts";
import { role, ROLES } from "./role.ts";

const spec = z
  .object({
    nodeId: uuid.meta({
      description: "Id given at approval; part of the node's SPIFFE identity. Cannot be changed.",
      "x-kubernetes-validations": immutable(
        "nodeId",
        "delete the object; the operator makes it anew as the ledger has it",
      ),
    }),
    fingerprint: fingerprint.meta({
      description: "Hex SHA-256 of the node's public key (SPKI). Cannot be changed: a new key is a new node.",
      "x-kubernetes-validations": immutable(
        "fingerprint",
        "a new key is a new node; let the host join again",
      ),
    }),
    area: groupName
      .optional()
      .meta({ description: "Failure domain that the node stands in, e.g. a region or a site." }),
    groups: z.array(groupPath).max(16).optional().meta({
      description:
        "Folders that the node is listed in, e.g. site/berlin/rack-7, customer/acme, ring/early. The operator labels the node with each of them and each folder above: kubectl get fn -l groups.fabric.saf.dev/site.berlin lists all that lies in site/berlin. Never a permission.",
      "x-kubernetes-list-type": "set",
    }),
    localityGroup: groupName.optional().meta({
      description:
        "Nodes with the same value share a private network and may reach each other by private addresses. Derived when empty.",
    }),
    suspended: z.boolean().default(false).meta({
      description: "Takes the node out of the fabric for a while: peers refuse it, its identity stays.",
    }),
    revoked: z
      .object({
        reason: reasonText.meta({ description: "Why. Peers and people get to read it." }),
      })
      .optional()
      .meta({
        description:
          "Takes the node out of the fabric for good: its identity is refused everywhere. Cannot be undone.",
      }),
  })
  .meta({
    description: "What the owner wants of this node.",
    "x-kubernetes-validations": [
      {
        rule: "!has(oldSelf.revoked) || has(self.revoked)",
        message: "a revocation cannot be undone; let the node join again with a new key",
        reason: "FieldValueForbidden",
      },
    ],
  });

const status = z
  .object({
    observedGeneration,
    conditions: conditions(
      "Ready sums up; its reason names the first thing that is in the way, e.g. AwaitingNode, Joining, HeartbeatStale, SnapshotStale, PeersUnreachable, Suspended, Leaving or Revoked. Approved, IdentityValid, Connected and SnapshotFresh say which part holds.",
    ),
    addresses: z
      .object({
        ipv4: ipv4Address.optional().meta({ description: "Overlay IPv4 address." }),
        ipv6: ipv6Address.optional().meta({ description: "Overlay IPv6 address." }),
      })
      .optional()
      .meta({ description: "Overlay addresses of the node." }),
    roles: z
      .array(role)
      .max(ROLES.length)
      .optional()
      .meta({ description: "Roles in force.", "x-kubernetes-list-type": "set" }),
    version: z.string().max(128).optional().meta({ description: "Version of the agent." }),
    localityGroup: groupName
      .optional()
      .meta({ description: "Locality group in force: the one of spec, or the derived one." }),
    natGroup: z.string().max(63).optional().meta({
      description:
        "Address under which the node appears to the operator. Nodes with the same one share a NAT.",
    }),
    candidates: z
      .array(
        z.object({
          endpoint: socketAddress.meta({ description: "As ip:port, IPv6 in brackets." }),
          kind: z.enum(["private", "host", "mapped"]).meta({
            description:
              "private: of its own network, offered to its locality only. host: of its own, offered to all. mapped: where the operator saw it come from.",
          }),
        }),
      )
      .max(16)
      .optional()
      .meta({
        description: "Where peers may try to reach the node; a new operator begins with what stands here.",
        "x-kubernetes-list-type": "atomic",
      }),
    peers: z
      .object({
        direct: nodeCount.optional().meta({ description: "Peers with a live direct session." }),
        known: nodeCount.optional().meta({ description: "Peers that the node's snapshot names." }),
      })
      .optional()
      .meta({ description: "Peers, as the node counts them." }),
    snapshot: z
      .object({
        term: counter.optional().meta({ description: "Authority term that signed it." }),
        epoch: counter.optional().meta({ description: "Newest decision that it reflects." }),
        expiresAt: dateTime.optional().meta({ description: "Until when the node may live by it." }),
      })
      .optional()
      .meta({ description: "The signed snapshot that the node confirmed to live by." }),
    certificate: z
      .object({ notAfter: dateTime.optional().meta({ description: "Until when it is valid." }) })
      .optional()
      .meta({ description: "The node's newest certificate." }),
    summary: z
      .object({
        groups: z
          .string()
          .max(1100)
          .optional()
          .meta({ description: "Folders, e.g. customer/acme,site/berlin/rack-7." }),
        roles: z.string().max(256).optional().meta({ description: "Roles in force, e.g. relay,exit." }),
        peers: z
          .string()
          .max(16)
          .optional()
          .meta({ description: "Peers with a live direct session, of those known, e.g. 3/4." }),
      })
      .optional()
      .meta({
        description: "For people: kubectl shows no lists in columns. Programs read roles and peers instead.",
      }),
    lastHeartbeatTime: dateTime
      .optional()
      .meta({ description: "When the operator last heard of the node; coarse, written at most every 30 s." }),
  })
  .meta({ description: "What the operator found. Written by the operator only." });

export const fabricNodeKind = defineKind({
  kind: "FabricNode",
  plural: "fabricnodes",
  singular: "fabricnode",
  shortName: "fn",
  description:
    "FabricNode is a member of the fabric cluster: a host with its own key, certificate and overlay addresses. The operator makes it when a JoinRequest is approved.",
  spec,
  status,
  rules: [nameIsLabel("FabricNode")],
  columns: [
    readyColumn,
    reasonColumn,
    { name: "Area", type: "string", jsonPath: ".spec.area", description: "Failure domain." },
    { name: "Roles", type: "string", jsonPath: ".status.summary.roles", description: "Roles in force." },
    {
      name: "Peers",
      type: "string",
      jsonPath: ".status.summary.peers",
      description: "Peers with a live direct session, of those that it should know.",
    },
    { name: "Version", type: "string", jsonPath: ".status.version", description: "Version of the agent." },
    {
      name: "Groups",
      type: "string",
      jsonPath: ".status.summary.groups",
      description: "Folders that it is listed in.",
      priority: 1,
    },
    {
      name: "IPv4",
      type: "string",
      jsonPath: ".status.addresses.ipv4",
      description: "Overlay IPv4 address.",
      priority: 1,
    },
    {
      name: "IPv6",
      type: "string",
      jsonPath: ".status.addresses.ipv6",
      description: "Overlay IPv6 address.",
      priority: 1,
    },
    {
      name: "NAT",
      type: "string",
      jsonPath: ".status.natGroup",
      description: "Address that the node appears under.",
      priority: 1,
    },
    {
      name: "Epoch",
      type: "integer",
      jsonPath: ".status.snapshot.epoch",
      description: "Newest decision that the node lives by.",
      priority: 1,
    },
    ageColumn,
  ],
});

export type FabricNodeSpec = z.output<typeof spec>;
/** As people write it: what has a default may be left out. */
export type FabricNodeSpecInput = z.input<typeof spec>;
export type FabricNodeStatus = z.output<typeof status>;
export type FabricNode = ReturnType<typeof fabricNodeKind.validate>;
