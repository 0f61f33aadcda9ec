/** How nodes come in and what they may do: a join token, and roles for those who came. */
import {
  joinTokenKind,
  roleAssignmentKind,
  type JoinTokenSpecInput,
  type RoleAssignmentSpecInput,
} from "@saf/crds";
import type { ApiObject, ApiObjectMetadata } from "cdk8s";
import { Construct } from "constructs";
import { fabricObject } from "./fabric-object.ts";

/** A RoleAssignment; its name is the enrolment's with the role's and its number. */
export type EnrolledRole = RoleAssignmentSpecInput;

export interface NodeEnrolmentProps {
  /** Of the token; by default the construct's id. A name is never used for two secrets. */
  readonly name?: string;
  readonly metadata?: Omit<ApiObjectMetadata, "name">;
  /** What `fabric token create` shows beside the secret: the hash is all that stands here. Absent: nodes come in by their service accounts (Cluster.spec.enrolment). */
  readonly token?: JoinTokenSpecInput;
  readonly roles?: readonly EnrolledRole[];
}

export class NodeEnrolment extends Construct {
  readonly token: ApiObject | undefined;
  readonly roles: readonly ApiObject[];

  constructor(scope: Construct, id: string, { name = id, metadata, token, roles = [] }: NodeEnrolmentProps) {
    super(scope, id);
    this.token =
      token && fabricObject(this, "token", joinTokenKind, { metadata: { ...metadata, name }, spec: token });
    this.roles = roles.map((spec, at) =>
      fabricObject(this, `role-${at}`, roleAssignmentKind, {
        metadata: { ...metadata, name: `${name}-${spec.role}-${at}` },
        spec,
      }),
    );
  }
}
