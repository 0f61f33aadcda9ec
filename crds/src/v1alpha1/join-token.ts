/** JoinToken: lets hosts ask to join. Holds only a salted hash; `fabric token create` shows the token itself once. */
import { z } from "zod";
import { defineKind } from "../schema/kind.ts";
import { ageColumn, conditions, readyColumn, reasonColumn } from "./condition.ts";
import { dateTime, groupName, immutable, nameIsLabel, observedGeneration } from "./fields.ts";
import { role } from "./role.ts";

/** Bound of maxUses: one token brings up at most one rack or image rollout, so a leaked one is worth little. */
const MAX_USES = 1000;

const spec = z
  .object({
    tokenHash: z
      .string()
      .max(160)
      .regex(/^sha256:[A-Za-z0-9_-]{16,86}:[A-Za-z0-9_-]{43}$/)
      .meta({
        description:
          "Salted hash of the token's secret: sha256:<salt>:<hash>, both base64url. Cannot be changed.",
        "x-kubernetes-validations": immutable("tokenHash", "make another JoinToken with fabric token create"),
      }),
    expiresAt: dateTime.meta({ description: "Until when the token is accepted." }),
    maxUses: z
      .int()
      .min(1)
      .max(MAX_USES)
      .default(1)
      .meta({ description: "How many different nodes may ask to join with it." }),
    revoked: z.boolean().default(false).meta({ description: "Ends the token at once. Cannot be undone." }),
    allowedRoles: z.array(role).max(16).default([]).meta({
      description: "Roles that a node may ask for with this token. Empty: none.",
      "x-kubernetes-list-type": "set",
    }),
    area: groupName.optional().meta({ description: "Area that nodes joining with this token stand in." }),
  })
  .meta({
    description: "What the owner wants.",
    "x-kubernetes-validations": [
      {
        rule: "!oldSelf.revoked || self.revoked",
        message: "a revoked token cannot be brought back; make a new one",
        reason: "FieldValueForbidden",
      },
    ],
  });

const status = z
  .object({
    observedGeneration,
    conditions: conditions(
      "Ready says whether the token is accepted: Active, Expired, Exhausted, Revoked or NameReused.",
    ),
    uses: z
      .int()
      .min(0)
      .max(MAX_USES)
      .optional()
      .meta({ description: "How many nodes asked to join with it." }),
  })
  .meta({ description: "What the operator found. Written by the operator only." });

export const joinTokenKind = defineKind({
  kind: "JoinToken",
  plural: "jointokens",
  singular: "jointoken",
  shortName: "jt",
  description:
    "JoinToken lets hosts ask to join the fabric cluster. Only a salted hash is stored; make one with `fabric token create`, which shows the token once. A token alone admits nobody: each JoinRequest is decided by a person.",
  spec,
  status,
  rules: [nameIsLabel("JoinToken")],
  columns: [
    readyColumn,
    reasonColumn,
    {
      name: "Uses",
      type: "integer",
      jsonPath: ".status.uses",
      description: "Nodes that asked to join with it.",
    },
    { name: "Max", type: "integer", jsonPath: ".spec.maxUses", description: "How many nodes may." },
    {
      name: "Expires",
      type: "string",
      jsonPath: ".spec.expiresAt",
      description: "Until when it is accepted.",
    },
    ageColumn,
  ],
});

export type JoinTokenSpec = z.output<typeof spec>;
/** As people write it: what has a default may be left out. */
export type JoinTokenSpecInput = z.input<typeof spec>;
export type JoinTokenStatus = z.output<typeof status>;
export type JoinToken = ReturnType<typeof joinTokenKind.validate>;
