/** An object of one of the fabric's kinds. A wrong one fails the synthesis, with the fields by name, and not the deployment. */
import { API_VERSION, type KindDefinition } from "@saf/crds";
import { ApiObject, type ApiObjectMetadata } from "cdk8s";
import type { Construct } from "constructs";

export interface FabricObjectProps<Spec> {
  /** By default the name that cdk8s makes of the construct's path. */
  readonly metadata?: ApiObjectMetadata;
  readonly spec: Spec;
}

/** Throws SchemaError INVALID_OBJECT. CEL rules are the API server's. */
export function fabricObject<Spec extends object>(
  scope: Construct,
  id: string,
  definition: Pick<KindDefinition, "kind" | "validate">,
  { metadata, spec }: FabricObjectProps<Spec>,
): ApiObject {
  const { kind } = definition;
  definition.validate({ apiVersion: API_VERSION, kind, metadata: { name: metadata?.name ?? id }, spec });
  return new ApiObject(scope, id, { apiVersion: API_VERSION, kind, ...(metadata ? { metadata } : {}), spec });
}
