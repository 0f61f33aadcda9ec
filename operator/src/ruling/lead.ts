/**
 * What a holder of the Lease does: finds the Cluster, opens its ledger, claims the authority, rules.
 *
 * Whatever stands in the way is written into the Cluster's `AuthorityHeld` condition; then the Lease is given back, so that an operator
 * for whom nothing stands in the way can have it, and this one stands again later.
 */
import type { Cluster } from "@saf/crds";
import type { Logger } from "pino";
import { finding, type Finding } from "../controllers/condition.ts";
import { codeOf } from "../controllers/controller.ts";
import { refusedStatus, rulingCluster } from "../controllers/cluster/decide.ts";
import { CLUSTERS } from "../controllers/resources.ts";
import type { Caches } from "../controllers/scope.ts";
import { isKubeError, KubeError, lackedRight } from "../kube/errors.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import { createCaches, informersOf } from "./caches.ts";
import { claimAuthority, writeOn } from "./claim.ts";
import type { OperatorTelemetry } from "../telemetry/operator-telemetry.ts";
import { GROUP_PATH, lackingFields } from "./definitions.ts";
import type { LedgerHolder } from "./ledger-holder.ts";
import { rule, type RuleInit } from "./rule.ts";
import { runTogether } from "./tasks.ts";

export interface LeadInit extends Pick<
  RuleInit,
  "client" | "clock" | "random" | "holder" | "connectEngine" | "controlKeyFile" | "enrolment" | "serviceLead"
> {
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly ledgers: LedgerHolder;
  readonly telemetry: OperatorTelemetry;
}

/** Resolves when leading is over, for whatever reason short of a fault. */
export async function lead(init: LeadInit, signal: AbortSignal): Promise<void> {
  const { duty, metrics } = init.telemetry;
  const client = init.client.until(signal);
  const caches: Caches = createCaches({
    ...init,
    client,
    onRefused: (error) => tellRefusal(init, rulingCluster(caches.clusters.list()), error),
  });
  const office = new AbortController();
  const stop = (): void => office.abort();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  metrics.elected();
  const resign = duty.elected();
  const leadership = async (officeSignal: AbortSignal): Promise<void> => {
    try {
      await serve({ ...init, client }, caches, officeSignal);
    } finally {
      stop();
    }
  };
  try {
    await runTogether(office, [leadership, ...informersOf(caches).map((informer) => informer.run)]);
  } finally {
    signal.removeEventListener("abort", stop);
    resign();
  }
}

async function serve(init: LeadInit, caches: Caches, signal: AbortSignal): Promise<void> {
  const cluster = await clusterToRule(caches, signal);
  await untilAborted(signal, ...informersOf(caches).map(({ synced }) => synced));
  if (!cluster || signal.aborted) return;
  try {
    await claimAndRule(init, caches, cluster, signal);
  } catch (error) {
    if (signal.aborted) return;
    await refuse(init, cluster.metadata.name, obstacleFrom(error)).catch((failure: unknown) =>
      init.log.warn({ error: failure }, "the Cluster could not be told"),
    );
    throw error;
  }
}

async function claimAndRule(
  init: LeadInit,
  caches: Caches,
  cluster: Cluster,
  signal: AbortSignal,
): Promise<void> {
  const { client, clock, events, holder, ledgers, log } = init;
  init.telemetry.duty.claiming();
  const ledger = await ledgers.forTrustDomain(cluster.spec.trustDomain);
  const name = cluster.metadata.name;
  const nodeLifetimeSeconds = (): number =>
    (caches.clusters.get(name) ?? cluster).spec.certificates.nodeLifetimeSeconds;
  const claimed = await claimAuthority({
    client,
    ledger,
    clock,
    clusterName: name,
    holder,
    nodeLifetimeSeconds,
  });
  if (claimed.objection) {
    log.warn({ reason: claimed.objection.reason }, claimed.objection.message);
    return refuse(init, name, claimed.objection);
  }
  const { authority, term } = claimed;
  log.info({ cluster: name, term: term.term, epoch: term.epoch, ledger: ledger.id }, "ruling");
  const message = `${holder} signs in term ${term.term}`;
  events.record({ object: cluster, type: "Normal", reason: "AuthorityTaken", message });
  void tellOutdated(init, cluster); // nobody waits for it: it only tells
  await rule({ ...init, caches, events, ledger, authority, term, cluster }, signal);
}

/** Resolves to the Cluster once there is one, or to undefined when the signal aborts. */
async function clusterToRule({ clusters }: Caches, signal: AbortSignal): Promise<Cluster | undefined> {
  const found = Promise.withResolvers<void>();
  const look = (): void => {
    if (rulingCluster(clusters.list())) found.resolve();
  };
  clusters.onChange(look);
  look();
  await untilAborted(signal, found.promise);
  return rulingCluster(clusters.list());
}

async function untilAborted(signal: AbortSignal, ...promises: readonly Promise<void>[]): Promise<void> {
  if (signal.aborted) return;
  const aborted = new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  await Promise.race([Promise.all(promises), aborted]);
}

async function refuse(
  { client, clock, events, telemetry }: LeadInit,
  name: string,
  objection: Finding,
): Promise<void> {
  telemetry.duty.refused(objection.reason);
  const cluster = await client.get(CLUSTERS, name);
  await writeOn(client, cluster, refusedStatus(cluster, objection, clock.nowMs()));
  events.record({ object: cluster, type: "Warning", reason: objection.reason, message: objection.message });
}

/** A right or a kind is missing: told in the log, and where people look as soon as there is such a place. */
function tellRefusal({ events, log }: LeadInit, cluster: Cluster | undefined, error: KubeError): void {
  const [reason, message] = isKubeError(error, "NOT_FOUND")
    ? [
        "DefinitionMissing",
        `a kind of fabric.saf.dev is not known: kubectl apply -f crds/manifests (${error.message})`,
      ]
    : ["PermissionMissing", lackedRight(error)];
  log.warn({ error, reason }, message);
  if (cluster) events.record({ object: cluster, type: "Warning", reason, message });
}

/** An operator is upgraded before its definitions: what they lack is dropped by the API server without a word. */
async function tellOutdated({ client, events, log }: LeadInit, cluster: Cluster): Promise<void> {
  try {
    const lacking = lackingFields(await client.openApi(GROUP_PATH));
    if (lacking.length === 0) return;
    const shown = lacking.slice(0, 8).join(", ");
    const message = `the definitions of an older version are installed; they lack ${shown}${lacking.length > 8 ? " and more" : ""}: kubectl apply -f crds/manifests`;
    log.warn({ lacking: lacking.length }, message);
    events.record({ object: cluster, type: "Warning", reason: "DefinitionsOutdated", message });
  } catch (error) {
    log.warn({ error }, "the definitions could not be looked at");
  }
}

/** Ledger, Secret or API server refused: the code says which, in the CamelCase of conditions. */
function obstacleFrom(error: unknown): Finding {
  if (isKubeError(error, "FORBIDDEN"))
    return finding("AuthorityHeld", "False", "PermissionMissing", lackedRight(error));
  const code = error instanceof KubeError ? "API_SERVER_FAILED" : (codeOf(error) ?? "FAULT");
  const reason = code
    .toLowerCase()
    .replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return finding("AuthorityHeld", "False", reason, error instanceof Error ? error.message : "failed");
}
