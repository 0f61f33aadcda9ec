/** Conditions, as the Kubernetes API conventions have them (metav1.Condition), and the columns read from `Ready`. */
import { z } from "zod";
import type { PrinterColumn } from "../schema/kind.ts";
import { dateTime, generation } from "./fields.ts";

const condition = z.object({
  type: z
    .string()
    .min(1)
    .max(316)
    .regex(/^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$/)
    .meta({ description: "What the condition is about, in CamelCase." }),
  status: z.enum(["True", "False", "Unknown"]).meta({ description: "Whether it holds." }),
  observedGeneration: generation
    .optional()
    .meta({ description: "metadata.generation that the condition was decided from." }),
  lastTransitionTime: dateTime.meta({ description: "When status last changed." }),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .meta({ description: "Why, as one CamelCase word that programs may rely on." }),
  message: z.string().max(32_768).meta({ description: "Why, for people." }),
});

export type Condition = z.infer<typeof condition>;

/** The conditions of a kind; `summary` says which ones to expect. */
export function conditions(summary: string) {
  return z
    .array(condition)
    .max(16)
    .optional()
    .meta({
      description: summary,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
    });
}

const READY = '.status.conditions[?(@.type=="Ready")]';

export const readyColumn: PrinterColumn = {
  name: "Ready",
  type: "string",
  jsonPath: `${READY}.status`,
  description: "Whether all that was asked for holds.",
};

export const reasonColumn: PrinterColumn = {
  name: "Reason",
  type: "string",
  jsonPath: `${READY}.reason`,
  description: "Why it is ready or not.",
};

export const ageColumn: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Since when the object exists.",
};
