/** The Cluster: one fabric, in one namespace. */
import { clusterKind, type ClusterSpecInput } from "@saf/crds";
import type { ApiObject, ApiObjectMetadata } from "cdk8s";
import { Construct } from "constructs";
import { fabricObject } from "./fabric-object.ts";

export interface FabricClusterProps {
  /** Part of every node's name; by default the construct's id. */
  readonly name?: string;
  readonly metadata?: Omit<ApiObjectMetadata, "name">;
  readonly spec: ClusterSpecInput;
}

export class FabricCluster extends Construct {
  readonly object: ApiObject;

  constructor(scope: Construct, id: string, { name = id, metadata, spec }: FabricClusterProps) {
    super(scope, id);
    this.object = fabricObject(this, "cluster", clusterKind, { metadata: { ...metadata, name }, spec });
  }
}
