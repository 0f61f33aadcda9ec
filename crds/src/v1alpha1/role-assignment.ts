/** RoleAssignment: what one node, or all nodes with certain labels, may do. */
import { z } from "zod";
import { defineKind } from "../schema/kind.ts";
import { ageColumn, conditions, readyColumn, reasonColumn } from "./condition.ts";
import { counter, dateTime, dnsLabel, nodeCount, observedGeneration } from "./fields.ts";
import { GROUP_LABEL_PREFIX } from "./group-label.ts";
import { role } from "./role.ts";

const spec = z
  .object({
    role: role.meta({ description: "What the nodes may do." }),
    nodeName: dnsLabel.optional().meta({ description: "Name of the FabricNode. Instead of nodeSelector." }),
    nodeSelector: z
      .object({
        matchLabels: z
          .record(
            z.string(),
            z
              .string()
              .max(63)
              .regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/),
          )
          .meta({
            description: "Labels that a FabricNode must carry, all of them.",
            maxProperties: 16,
            "x-kubernetes-validations": [
              {
                rule: "size(self) > 0",
                message: "must name at least one label: a selector of all nodes is not meant by accident",
              },
              { rule: "self.all(key, size(key) <= 317)", message: "a label key has at most 317 characters" },
              {
                rule: `self.all(key, !key.startsWith('${GROUP_LABEL_PREFIX}'))`,
                message: `folders are no permission: choose by a label of your own, not by ${GROUP_LABEL_PREFIX}…`,
              },
            ],
          }),
      })
      .optional()
      .meta({ description: "Chooses FabricNodes by label. Instead of nodeName." }),
    notBefore: dateTime.optional().meta({ description: "When the role begins; at once when empty." }),
    expiresAt: dateTime.optional().meta({ description: "When the role ends; never when empty." }),
  })
  .meta({
    description: "What the owner wants.",
    "x-kubernetes-validations": [
      {
        rule: "has(self.nodeName) != has(self.nodeSelector)",
        message: "set exactly one of nodeName and nodeSelector",
        messageExpression:
          "has(self.nodeName) ? 'set exactly one of nodeName and nodeSelector: remove one' : 'set exactly one of nodeName and nodeSelector: nodeName names one FabricNode, nodeSelector.matchLabels chooses by labels'",
      },
      {
        rule: "!has(self.notBefore) || !has(self.expiresAt) || self.notBefore < self.expiresAt",
        message:
          "notBefore must be earlier than expiresAt: swap them, or leave notBefore out to begin at once",
      },
    ],
  });

const status = z
  .object({
    observedGeneration,
    conditions: conditions(
      "Ready says whether the role is in force; Propagated, whether every chosen node confirmed it.",
    ),
    nodes: nodeCount.optional().meta({ description: "How many nodes are chosen." }),
    epoch: counter.optional().meta({ description: "Decision by which the nodes learnt of it." }),
  })
  .meta({ description: "What the operator found. Written by the operator only." });

export const roleAssignmentKind = defineKind({
  kind: "RoleAssignment",
  plural: "roleassignments",
  singular: "roleassignment",
  shortName: "ra",
  description:
    "RoleAssignment lets nodes play a role, by name or by label, for as long as it says. Deleting it ends the role.",
  spec,
  status,
  columns: [
    readyColumn,
    reasonColumn,
    { name: "Role", type: "string", jsonPath: ".spec.role", description: "What the nodes may do." },
    { name: "Nodes", type: "integer", jsonPath: ".status.nodes", description: "How many nodes are chosen." },
    {
      name: "Node",
      type: "string",
      jsonPath: ".spec.nodeName",
      description: "The node chosen by name.",
      priority: 1,
    },
    {
      name: "Expires",
      type: "string",
      jsonPath: ".spec.expiresAt",
      description: "When the role ends.",
    },
    ageColumn,
  ],
});

export type RoleAssignmentSpec = z.output<typeof spec>;
/** As people write it: what has a default may be left out. */
export type RoleAssignmentSpecInput = z.input<typeof spec>;
export type RoleAssignmentStatus = z.output<typeof status>;
export type RoleAssignment = ReturnType<typeof roleAssignmentKind.validate>;
