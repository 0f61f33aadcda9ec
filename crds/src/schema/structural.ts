/**
 * zod schema → structural OpenAPI v3 schema of a CustomResourceDefinition.
 *
 * zod writes JSON Schema 2020-12; Kubernetes takes a subset (no `const`, no `$schema`, no `propertyNames`, no
 * `additionalProperties: false`). What Kubernetes adds (`x-kubernetes-*`, `maxProperties`) is written with `.meta()`
 * at the field it belongs to and passes through. The conversion also holds every kind to the house rule: each field has
 * a description and a bound. It throws INVALID_DEFINITION otherwise, so an unbounded field cannot reach a manifest.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
import { z } from "zod";
import { SchemaError } from "../errors.ts";

export interface StructuralSchema {
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  "x-kubernetes-list-map-keys"?: string[];
  "x-kubernetes-map-type"?: "atomic" | "granular";
  "x-kubernetes-validations"?: CelRule[];
}

/** One CEL rule. `self` is the field it stands on; `oldSelf` makes it a transition rule. */
export interface CelRule {
  rule: string;
  /** What is wrong, for when the expression below fails. */
  message: string;
  /** CEL that says it with the value at hand, and what to write instead. */
  messageExpression?: string;
  reason?: "FieldValueInvalid" | "FieldValueForbidden" | "FieldValueRequired";
}

/** Keys copied as they are; everything else is converted, or dropped as JSON Schema's own bookkeeping. */
const PLAIN_KEYS = [
  "type",
  "format",
  "description",
  "default",
  "enum",
  "pattern",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "minItems",
  "maxItems",
  "maxProperties",
  "required",
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-map-type",
  "x-kubernetes-validations",
] as const satisfies readonly (keyof StructuralSchema)[];

const INT32_MAX = 2 ** 31 - 1;

type JsonNode = Record<string, unknown>;

export function toStructural(schema: z.ZodType, path: string): StructuralSchema {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "throw", cycles: "throw" });
  return convert(json, path);
}

function convert(node: JsonNode, path: string): StructuralSchema {
  const out: StructuralSchema = {};
  for (const key of PLAIN_KEYS) if (node[key] !== undefined) Object.assign(out, { [key]: node[key] });
  if (out.type === "integer") out.format = (out.maximum ?? Infinity) > INT32_MAX ? "int64" : "int32";
  if (out.format === "date-time") delete out.pattern; // the format says it, and is what the API server checks
  convertChildren(node, out, path);
  assertDescribed(out, path);
  assertBounded(out, path);
  return out;
}

function convertChildren(node: JsonNode, out: StructuralSchema, path: string): void {
  if (isNode(node["properties"])) {
    out.properties = Object.fromEntries(
      Object.entries(node["properties"]).map(([name, child]) => [
        name,
        convert(child as JsonNode, `${path}.${name}`),
      ]),
    );
  }
  if (isNode(node["items"])) out.items = convert(node["items"], `${path}[]`);
  if (isNode(node["additionalProperties"]) && out.properties === undefined) {
    out.additionalProperties = convert(node["additionalProperties"], `${path}{}`);
  }
}

/** Entries of lists and maps are described by the list itself. */
function assertDescribed(schema: StructuralSchema, path: string): void {
  const isEntry = path.endsWith("[]") || path.endsWith("{}");
  if (!isEntry && !schema.description) invalid(path, "has no description");
}

function assertBounded(schema: StructuralSchema, path: string): void {
  switch (schema.type) {
    case "string":
      if (schema.enum || schema.format === "date-time" || schema.maxLength !== undefined) return;
      return invalid(path, "is a string without maxLength");
    case "integer":
      if (schema.minimum !== undefined && schema.maximum !== undefined) return;
      return invalid(path, "is a number without minimum and maximum");
    case "array":
      if (schema.maxItems === undefined) invalid(path, "is a list without maxItems");
      if (schema.items === undefined) invalid(path, "is a list without items");
      if (schema["x-kubernetes-list-type"] === undefined) invalid(path, "is a list without a list type");
      return;
    case "object":
      if (schema.properties === undefined && schema.maxProperties === undefined) {
        invalid(path, "is a map without maxProperties");
      }
      return;
    case "boolean":
      return;
    default:
      invalid(path, `has type ${String(schema.type)}, which no field of this API uses`);
  }
}

function isNode(value: unknown): value is JsonNode {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(path: string, problem: string): never {
  throw new SchemaError("INVALID_DEFINITION", `${path} ${problem}`);
}
