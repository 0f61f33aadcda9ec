/** JoinRequest: a host asks to become a node. The operator makes it; people decide by adding themselves to `approvals`. */
import { z } from "zod";
import { defineKind } from "../schema/kind.ts";
import { ageColumn, conditions, readyColumn, reasonColumn } from "./condition.ts";
import {
  counter,
  dateTime,
  dnsLabel,
  fingerprint,
  groupName,
  immutable,
  observedGeneration,
  reasonText,
  userName,
  uuid,
} from "./fields.ts";
import { role } from "./role.ts";

/** CEL of an optional field that can be neither changed, added nor removed. A rule on the field would not see the last two. */
const unchanged = (field: string) =>
  `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`;

const fact = z.string().max(128).optional();

const facts = z
  .object({
    hostname: z.string().max(253).optional().meta({ description: "The host's own name." }),
    os: fact.meta({ description: "Operating system." }),
    arch: fact.meta({ description: "Processor architecture." }),
    kernel: fact.meta({ description: "Kernel release." }),
    cpus: z.int().min(0).max(65_536).optional().meta({ description: "Number of processors." }),
    memoryBytes: counter.optional().meta({ description: "Memory in bytes." }),
    agentVersion: fact.meta({ description: "Version of the agent." }),
  })
  .meta({
    description: "What the host says of itself. Not proved.",
    "x-kubernetes-validations": immutable("facts"),
  });

const pod = z
  .object({
    namespace: dnsLabel.meta({ description: "Namespace of the pod and of its ServiceAccount." }),
    name: z.string().min(1).max(253).meta({ description: "Name of the pod." }),
    uid: z.string().min(1).max(63).meta({ description: "UID of the pod: it may ask with one key only." }),
    serviceAccount: z.string().min(1).max(253).meta({ description: "ServiceAccount that it runs as." }),
    audience: z.string().min(1).max(253).meta({ description: "Audience of its token." }),
    node: z.string().min(1).max(253).meta({ description: "Kubernetes Node that it runs on." }),
    source: z.string().min(1).max(45).meta({ description: "Address that it asked from." }),
    fromNode: z.boolean().meta({ description: "Whether that is an address of its Node." }),
  })
  .meta({ description: "The pod whose projected token it came with, as the API server knows it." });

const approval = z.object({
  user: userName.meta({
    description: "Who decides: your own user name. The API server refuses an entry for anybody else.",
  }),
  decision: z.enum(["Approve", "Deny"]).meta({ description: "Approve or Deny." }),
  reason: reasonText.optional().meta({ description: "Why. The one who asked gets to read it." }),
});

const spec = z
  .object({
    nodeName: dnsLabel.meta({
      description: "Name that the node wants to have.",
      "x-kubernetes-validations": immutable("nodeName"),
    }),
    fingerprint: fingerprint.meta({
      description:
        "Hex SHA-256 of the host's public key (SPKI). Compare it with what `fabric status` shows there.",
      "x-kubernetes-validations": immutable("fingerprint"),
    }),
    tokenName: dnsLabel
      .optional()
      .meta({ description: "JoinToken that it came with. Only with attestation JoinToken." }),
    requestedRoles: z
      .array(role)
      .max(16)
      .default([])
      .meta({
        description: "Roles that it asks for.",
        "x-kubernetes-validations": immutable("requestedRoles"),
        "x-kubernetes-list-type": "set",
      }),
    area: groupName.optional().meta({ description: "Area that it stands in." }),
    facts,
    capabilities: z
      .object({
        protocolVersions: z.array(z.string().min(1).max(16)).max(16).meta({
          description: "Session protocols that it speaks, newest first, e.g. saf/1.",
          "x-kubernetes-list-type": "atomic",
        }),
      })
      .meta({
        description: "What the host can do. Never a permission.",
        "x-kubernetes-validations": immutable("capabilities"),
      }),
    candidates: z
      .array(z.string().min(1).max(64))
      .max(16)
      .default([])
      .meta({
        description: "Addresses where the host believes to be reachable, as ip:port. Not proved.",
        "x-kubernetes-validations": immutable("candidates"),
        "x-kubernetes-list-type": "atomic",
      }),
    attestation: z
      .object({
        type: z.enum(["JoinToken", "ServiceAccount"]).meta({
          description:
            "JoinToken: it knew the token's secret. ServiceAccount: the API server vouched for the token of the pod that asked.",
        }),
        pod: pod.optional(),
      })
      .meta({
        description: "How the request was proved to be allowed.",
        "x-kubernetes-validations": [
          ...immutable("attestation"),
          {
            rule: "(self.type == 'ServiceAccount') == has(self.pod)",
            message: "pod belongs to the attestation ServiceAccount, and only to that",
          },
        ],
      }),
    approvals: z
      .array(approval)
      .max(8)
      .optional()
      .meta({
        description:
          "Decisions of people, one entry per user; each can write only their own. The first one decides; a Deny outweighs an Approve that nobody has acted on yet.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["user"],
      }),
  })
  .meta({
    description: "What the host asks for, and what people say to it.",
    "x-kubernetes-validations": [
      {
        rule: unchanged("area"),
        message: "area cannot be changed",
        reason: "FieldValueForbidden",
      },
      {
        rule: unchanged("tokenName"),
        message: "tokenName cannot be changed",
        reason: "FieldValueForbidden",
      },
      {
        rule: "(self.attestation.type == 'JoinToken') == has(self.tokenName)",
        message: "tokenName belongs to the attestation JoinToken, and only to that",
      },
    ],
  });

const status = z
  .object({
    observedGeneration,
    conditions: conditions(
      "Ready says whether the node was admitted; Approved and Denied say what was decided.",
    ),
    decision: z
      .enum(["Pending", "Approved", "Denied"])
      .optional()
      .meta({ description: "Pending until a person decided. The first decision is final." }),
    decidedBy: userName.optional().meta({
      description:
        "Who decided, as the API server knows them; policy/serviceaccount/<namespace>/<name> when the Cluster's enrolment policy did.",
    }),
    decidedAt: dateTime.optional().meta({ description: "When." }),
    reason: z.string().max(256).optional().meta({ description: "Why, in the words of who decided." }),
    nodeId: uuid.optional().meta({ description: "Id of the node, once approved." }),
  })
  .meta({ description: "What was decided. Written by the operator only." });

export const joinRequestKind = defineKind({
  kind: "JoinRequest",
  plural: "joinrequests",
  singular: "joinrequest",
  shortName: "jr",
  description:
    "JoinRequest is a host that asks to become a node of the fabric cluster. Decide it with `fabric approve` or `fabric reject`, or by adding your own entry to spec.approvals.",
  spec,
  status,
  rules: [
    {
      rule: `!has(oldSelf.status) || !has(oldSelf.status.decision) || oldSelf.status.decision == 'Pending' || (${unchanged("spec.approvals")})`,
      message:
        "the request is already decided; the first decision is final: to end a membership, delete or revoke the FabricNode",
      messageExpression:
        "'the request is already decided (' + oldSelf.status.decision + '); the first decision is final: ' + (oldSelf.status.decision == 'Approved' ? 'to end the membership, delete or revoke the FabricNode ' + self.spec.nodeName : 'let the host join again with a new key')",
      reason: "FieldValueForbidden",
    },
  ],
  columns: [
    readyColumn,
    reasonColumn,
    { name: "Decision", type: "string", jsonPath: ".status.decision", description: "What was decided." },
    { name: "Node", type: "string", jsonPath: ".spec.nodeName", description: "Name that the node wants." },
    {
      name: "Attestation",
      type: "string",
      jsonPath: ".spec.attestation.type",
      description: "How it was proved to be allowed to ask.",
    },
    { name: "By", type: "string", jsonPath: ".status.decidedBy", description: "Who decided.", priority: 1 },
    ageColumn,
  ],
});

export type JoinRequestSpec = z.output<typeof spec>;
export type JoinRequestStatus = z.output<typeof status>;
export type PodAttestation = z.output<typeof pod>;
export type Approval = z.output<typeof approval>;
export type JoinRequest = ReturnType<typeof joinRequestKind.validate>;
