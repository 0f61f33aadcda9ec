/**
 * Taking the authority over a Cluster:
 *
 *   1. what the Cluster says of its ledger, term and CA must not contradict what this operator has in hand
 *   2. the ledger gives the next term (compare-and-swap): from here every former holder is fenced
 *   3. the Cluster's status names ledger, term and CA, written on top of exactly what was checked
 *
 * An operator with another ledger stops at 1 and takes nothing, so it can never sign beside the rightful one.
 */
import type { Cluster, ClusterStatus } from "@saf/crds";
import { createAuthority } from "../authority/create-authority.ts";
import type { Authority, AuthoritySecrets } from "../authority/authority.ts";
import type { Finding } from "../controllers/condition.ts";
import { authorityOf } from "../controllers/cluster/controller.ts";
import { decideCluster, objectionTo } from "../controllers/cluster/decide.ts";
import { CLUSTERS } from "../controllers/resources.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { isKubeError } from "../kube/errors.ts";
import type { Ledger, Term } from "../ledger/ledger.ts";
import { caPinOf, createAuthoritySecret, readAuthoritySecret } from "./authority-secret.ts";
import { RulingError } from "./errors.ts";

/** Somebody editing the Cluster at the same moment is no reason to give up; somebody else claiming it is. */
const MAX_TRIES = 5;

export interface ClaimInit {
  readonly client: KubeClient;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly clusterName: string;
  readonly holder: string;
  readonly nodeLifetimeSeconds: () => number;
}

export type Claimed =
  | { readonly objection: Finding }
  | { readonly objection?: undefined; readonly authority: Authority; readonly term: Term };

/** Throws KubeError, LedgerError (TERM_TAKEN: another was quicker), AuthorityError, RulingError. */
export async function claimAuthority(init: ClaimInit): Promise<Claimed> {
  const { client, ledger, clock, clusterName, holder } = init;
  const before = await ledger.currentTerm();
  const cluster = await client.get(CLUSTERS, clusterName);
  const kept = await readAuthoritySecret(client);
  const claim = { ledgerId: ledger.id, term: before.term, caPin: kept ? caPinOf(kept) : null };
  const objection = objectionTo(claim, cluster);
  if (objection) return { objection };

  const term = await ledger.takeTerm({ holder, expected: before.term });
  const nowSeconds = (): number => Math.floor(clock.nowMs() / 1000);
  const { trustDomain } = cluster.spec;
  const secrets: AuthoritySecrets = kept ?? (await createAuthoritySecret(client, trustDomain, nowSeconds()));
  const authority = await createAuthority({
    secrets,
    ledger,
    term: term.term,
    trustDomain,
    clock: nowSeconds,
    nodeLifetimeSeconds: init.nodeLifetimeSeconds,
  });
  const contested = await show(init, authority, term);
  return contested ? { objection: contested } : { authority, term };
}

async function show(
  init: ClaimInit,
  authority: Authority,
  { term, epoch }: Term,
): Promise<Finding | undefined> {
  const { client, ledger, clock, clusterName, holder } = init;
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    const cluster = await client.get(CLUSTERS, clusterName);
    const objection = objectionTo({ ledgerId: ledger.id, term, caPin: authority.caPin }, cluster);
    if (objection) return objection;
    const block = authorityOf({ authority, ledger, term }, holder, epoch);
    const { approved = 0, connected = 0, confirmed = 0 } = cluster.status?.nodes ?? {};
    const nodes = { approved, connected, confirmed };
    const status = decideCluster({ cluster, authority: block, nodes, nowMs: clock.nowMs() });
    if (await writeOn(client, cluster, status)) return undefined;
  }
  throw new RulingError("CLAIM_CONTESTED", `the Cluster ${clusterName} changed at every try`);
}

/** Whether the Cluster was still as read. */
export async function writeOn(
  client: Pick<KubeClient, "apply">,
  { metadata: { name, resourceVersion } }: Cluster,
  status: ClusterStatus,
): Promise<boolean> {
  try {
    const metadata = { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    await client.apply(CLUSTERS, { metadata, status }, "status");
    return true;
  } catch (error) {
    if (isKubeError(error, "CONFLICT")) return false;
    throw error;
  }
}
