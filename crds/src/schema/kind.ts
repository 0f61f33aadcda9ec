/**
 * A kind of the API: one definition gives the TypeScript types (by inference), the CustomResourceDefinition and the
 * validation of objects in process.
 */
import { z } from "zod";
import { SchemaError } from "../errors.ts";
import { UNSEEN_GENERATION } from "../v1alpha1/fields.ts";
import { API_VERSION, CATEGORY, GROUP, VERSION } from "../v1alpha1/group.ts";
import type { ObjectMeta } from "../v1alpha1/object-meta.ts";
import { objectMeta } from "../v1alpha1/object-meta.ts";
import { type CelRule, type StructuralSchema, toStructural } from "./structural.ts";

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables */
export interface PrinterColumn {
  name: string;
  type: "string" | "integer" | "date";
  jsonPath: string;
  description: string;
  /** 0 is always shown, 1 with `-o wide`. */
  priority?: 0 | 1;
}

export interface KindInit<Kind extends string, Spec extends z.ZodType, Status extends z.ZodType> {
  kind: Kind;
  plural: string;
  singular: string;
  shortName: string;
  description: string;
  spec: Spec;
  status: Status;
  columns: PrinterColumn[];
  /** CEL on the whole object: the only place where `metadata.name`, or spec and status together, can be seen. */
  rules?: CelRule[];
}

export interface KubernetesObject<Kind extends string, Spec, Status> {
  apiVersion: typeof API_VERSION;
  kind: Kind;
  metadata: ObjectMeta;
  spec: Spec;
  status?: Status;
}

export interface KindDefinition<Kind extends string = string, Spec = unknown, Status = unknown> {
  readonly kind: Kind;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  /** The CustomResourceDefinition, ready to be applied. */
  crd(): CustomResourceDefinition;
  /** The object with defaults filled in; throws SchemaError INVALID_OBJECT naming the fields. CEL rules are the API server's. */
  validate(value: unknown): KubernetesObject<Kind, Spec, Status>;
}

export interface CustomResourceDefinition {
  apiVersion: "apiextensions.k8s.io/v1";
  kind: "CustomResourceDefinition";
  metadata: { name: string };
  spec: {
    group: string;
    scope: "Namespaced";
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames: string[];
      categories: string[];
    };
    versions: CrdVersion[];
  };
}

interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
  subresources: { status: Record<string, never> };
  additionalPrinterColumns: PrinterColumn[];
  schema: { openAPIV3Schema: StructuralSchema };
}

export function defineKind<Kind extends string, Spec extends z.ZodType, Status extends z.ZodType>(
  init: KindInit<Kind, Spec, Status>,
): KindDefinition<Kind, z.output<Spec>, z.output<Status>> {
  const object = z.object({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal(init.kind),
    metadata: objectMeta,
    spec: init.spec,
    status: init.status.optional(),
  });
  return {
    kind: init.kind,
    plural: init.plural,
    singular: init.singular,
    shortName: init.shortName,
    crd: () => customResourceDefinition(init),
    validate(value) {
      const result = object.safeParse(value);
      if (result.success) return result.data as KubernetesObject<Kind, z.output<Spec>, z.output<Status>>;
      const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
      throw new SchemaError("INVALID_OBJECT", `${init.kind} ${problems.join("; ")}`, {
        cause: result.error,
      });
    },
  };
}

function customResourceDefinition(init: KindInit<string, z.ZodType, z.ZodType>): CustomResourceDefinition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${init.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind: init.kind,
        listKind: `${init.kind}List`,
        plural: init.plural,
        singular: init.singular,
        shortNames: [init.shortName],
        categories: [CATEGORY],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: init.columns,
          schema: { openAPIV3Schema: rootSchema(init) },
        },
      ],
    },
  };
}

function rootSchema(init: KindInit<string, z.ZodType, z.ZodType>): StructuralSchema {
  const root: StructuralSchema = {
    type: "object",
    description: init.description,
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: "Version of this API." },
      kind: { type: "string", description: "Kind of this object." },
      metadata: { type: "object" },
      spec: toStructural(init.spec, `${init.kind}.spec`),
      status: {
        ...toStructural(init.status, `${init.kind}.status`),
        default: { observedGeneration: UNSEEN_GENERATION },
      },
    },
  };
  if (init.rules) root["x-kubernetes-validations"] = init.rules;
  return root;
}
