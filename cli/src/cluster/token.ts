/** `fabric token create|list|revoke`. The secret is made here and printed once; the cluster gets only its salted hash. */
import { randomBytes } from "node:crypto";
import { type Cluster, clusterKind, type JoinToken, joinTokenKind, type Role } from "@saf/crds";
import { createToken, TOKEN_ID_PATTERN } from "@saf/protocol";
import { CliError, EXIT, usageError } from "../errors.ts";
import { formatMoment } from "../format/duration.ts";
import { formatTable } from "../format/table.ts";
import type { ClusterClient } from "./cluster-client.ts";
import { readyReason } from "./ready-reason.ts";

export interface NewToken {
  name?: string | undefined;
  uses: number;
  /** Lifetime in seconds. */
  expires: number;
  role: Role[];
  area?: string | undefined;
}

export interface CreatedToken {
  name: string;
  /** The raw token: not stored anywhere. */
  token: string;
  expiresAt: string;
  maxUses: number;
}

export async function createJoinToken(
  client: ClusterClient,
  request: NewToken,
  nowSeconds: number,
): Promise<CreatedToken> {
  const name = request.name ?? `token-${randomBytes(4).toString("hex")}`;
  if (!TOKEN_ID_PATTERN.test(name)) throw usageError(`"${name}" is not a DNS label`, "use a-z, 0-9 and '-'");
  const pin = caPin(await rulingCluster(client));
  const { token, hash } = createToken({ id: name, pin });
  const expiresAt = new Date((nowSeconds + request.expires) * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  await client.create(joinTokenKind, name, {
    tokenHash: hash,
    expiresAt,
    maxUses: request.uses,
    allowedRoles: [...new Set(request.role)],
    ...(request.area === undefined ? {} : { area: request.area }),
  });
  return { name, token, expiresAt, maxUses: request.uses };
}

export function revokeJoinToken(client: ClusterClient, name: string): Promise<void> {
  return client.patchSpec(joinTokenKind, name, { revoked: true });
}

export async function listJoinTokens(client: ClusterClient): Promise<JoinToken[]> {
  const tokens = await client.list(joinTokenKind);
  return tokens.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
}

export function renderJoinTokens(tokens: readonly JoinToken[], nowSeconds: number): string {
  if (tokens.length === 0) return "no join tokens; make one with: fabric token create";
  const rows = tokens.map(({ metadata, spec, status }) => [
    metadata.name,
    readyReason(status) ?? "Unknown",
    `${status?.uses ?? 0}/${spec.maxUses}`,
    formatMoment(Date.parse(spec.expiresAt) / 1000, nowSeconds),
    spec.allowedRoles.join(","),
    spec.area,
  ]);
  return formatTable(["NAME", "STATE", "USES", "EXPIRES", "ROLES", "AREA"], rows);
}

/** Of several Clusters in the namespace the oldest counts, as for the operator: one made by accident changes nothing. */
async function rulingCluster(client: ClusterClient): Promise<Cluster> {
  const clusters = await client.list(clusterKind);
  const [oldest] = clusters.sort((a, b) => ageKey(a).localeCompare(ageKey(b)));
  if (oldest !== undefined) return oldest;
  throw new CliError("CLUSTER_NOT_FOUND", `there is no Cluster in namespace ${client.namespace}`, {
    exit: EXIT.notFound,
    hint: "choose the namespace with -n",
  });
}

function ageKey({ metadata }: Cluster): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}

function caPin(cluster: Cluster): string {
  const pin = cluster.status?.authority?.caPin;
  if (pin) return pin;
  throw new CliError(
    "AUTHORITY_NOT_READY",
    `Cluster ${cluster.metadata.name} has no certificate authority yet`,
    {
      exit: EXIT.failure,
      hint: "is the operator running? kubectl describe fcl says what it waits for",
    },
  );
}
