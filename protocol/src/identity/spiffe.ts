/**
 * SPIFFE ids of a fabric cluster: the trust domain is the cluster, the path says who.
 * Source: SPIFFE-ID specification §2 (URI SAN, lower-case trust domain, no query or fragment).
 */
import { IdentityError } from "./errors.ts";

export const TRUST_DOMAIN_PATTERN: RegExp =
  /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
export const NODE_ID_PATTERN: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** A node's name is a DNS label (RFC 1123), because it becomes a Kubernetes object name and a fabric host name. */
export const NODE_NAME_PATTERN: RegExp = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export interface NodeSpiffeId {
  readonly trustDomain: string;
  readonly nodeId: string;
}

export function spiffeIdOfNode(trustDomain: string, nodeId: string): string {
  return `spiffe://${trustDomain}/node/${nodeId}`;
}

/** Every replica of an operator speaks under one name: which of them may act is decided by the term, not by the name. */
export function operatorSpiffeId(trustDomain: string): string {
  return `spiffe://${trustDomain}/operator/control`;
}

/** Throws IdentityError SPIFFE_ID_INVALID when `uri` does not name a node. */
export function parseNodeSpiffeId(uri: string): NodeSpiffeId {
  const match = /^spiffe:\/\/([^/]{1,63})\/node\/([^/]{36})$/.exec(uri);
  const trustDomain = match?.[1];
  const nodeId = match?.[2];
  if (!trustDomain || !nodeId || !TRUST_DOMAIN_PATTERN.test(trustDomain) || !NODE_ID_PATTERN.test(nodeId)) {
    throw new IdentityError("SPIFFE_ID_INVALID", "not the SPIFFE id of a fabric node");
  }
  return { trustDomain, nodeId };
}
