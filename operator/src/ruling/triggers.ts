/** Which change makes which controller look again. The only place where this is said. */
import type { ControlServer } from "../control/control-server.ts";
import type { Aspect } from "../control/fleet.ts";
import { confirmedByAll } from "../controllers/snapshot/confirmed.ts";
import { createController } from "../controllers/controller.ts";
import type { Scope } from "../controllers/scope.ts";
import type { Publisher } from "../controllers/snapshot/publisher.ts";
import type { EnrolmentService } from "./enrolment-service.ts";
import { createIntentWatch } from "./intent-watch.ts";
import type { Controllers } from "./rule.ts";
import { TRUST_CONFIG_MAP } from "./trust-config-map.ts";

/** What was missed, for whatever reason, is seen at the latest after this. */
const RESYNC_MS = 30_000;
/** Counts of a whole fleet move in bursts; people read them at leisure. */
const COUNT_DELAY_MS = 200;
const ALL = "all";

export interface TriggersInit {
  readonly scope: Scope;
  readonly controllers: Controllers;
  readonly publisher: Publisher;
  readonly control: ControlServer;
  readonly enrolment: EnrolmentService;
}

export interface Triggers {
  /** A new edition of snapshots is out. */
  edition(): void;
  /** A node got a newer certificate. */
  renewed(nodeId: string): void;
  run(signal: AbortSignal): Promise<void>;
}

export function connectTriggers({
  scope,
  controllers,
  publisher,
  control,
  enrolment,
}: TriggersInit): Triggers {
  const { caches, fleet, identities, ledger } = scope;
  const { clusters, nodes, assignments, tokens, requests, trust } = controllers;

  const nameOf = (nodeId: string): string | undefined => identities.byId(nodeId)?.nodeName;
  const everyNode = (): void => {
    const names = [
      ...caches.nodes.list().map(({ metadata }) => metadata.name),
      ...identities.all().map((i) => i.nodeName),
    ];
    names.forEach(nodes.add);
  };
  const everyAssignment = (): void =>
    caches.assignments.list().forEach(({ metadata }) => assignments.add(metadata.name));
  const counts = (): void => clusters.addAfter(scope.cluster().metadata.name, COUNT_DELAY_MS);

  const refresher = createController({
    name: "resync",
    scope,
    concurrency: 1,
    onFenced: () => undefined,
    async reconcile(key) {
      await identities.refresh();
      if (key !== ALL) return undefined;
      await ledger.releaseAddresses(scope.term, confirmedByAll(scope));
      const pending = await ledger.listJoinRequests({ decision: "Pending" });
      pending.forEach(({ requestId }) => requests.add(requestId));
      everything();
      return { afterMs: RESYNC_MS };
    },
  });
  const identitiesMoved = (): void => refresher.add("identities");

  const everything = (): void => {
    caches.clusters.list().forEach(({ metadata }) => clusters.add(metadata.name));
    caches.tokens.list().forEach(({ metadata }) => tokens.add(metadata.name));
    caches.requests.list().forEach(({ metadata }) => requests.add(metadata.name));
    everyNode();
    everyAssignment();
    trust.add(TRUST_CONFIG_MAP);
    publisher.changed();
  };

  const clusterIntent = createIntentWatch();
  caches.clusters.onChange((name) => {
    clusters.add(name);
    if (!clusterIntent.moved(name, caches.clusters.get(name))) return;
    publisher.changed();
    enrolment.changed();
    everyNode();
    caches.requests.list().forEach(({ metadata }) => requests.add(metadata.name)); // who needs no person may have changed
  });
  const nodeIntent = createIntentWatch();
  caches.nodes.onChange((name) => {
    nodes.add(name);
    if (nodeIntent.moved(name, caches.nodes.get(name))) publisher.changed();
  });
  const assignmentIntent = createIntentWatch();
  caches.assignments.onChange((name) => {
    // Its status follows from the edition, which is looked at after each.
    if (assignmentIntent.moved(name, caches.assignments.get(name))) publisher.changed();
  });
  caches.tokens.onChange(tokens.add);
  caches.requests.onChange(requests.add);

  identities.onChange((names) => {
    names.forEach(nodes.add);
    publisher.changed();
    control.changed();
    counts();
  });

  const onFacts = (nodeId: string, aspects: readonly Aspect[]): void => {
    const name = nameOf(nodeId);
    if (name === undefined) return;
    nodes.add(name);
    if (aspects.includes("reachability")) publisher.changed();
    if (!aspects.includes("session") && !aspects.includes("applied")) return;
    publisher.attend(nodeId);
    counts();
    assignmentsOf(nodeId).forEach(assignments.add);
    // Its first certificate was fetched over the enrolment API, a moment before it could connect.
    if (identities.byId(nodeId)?.certificateNotAfter === null) identitiesMoved();
  };
  fleet.onChange(onFacts);

  const assignmentsOf = (nodeId: string): string[] =>
    [...(publisher.compiled?.targets ?? [])]
      .filter(([, targets]) => targets.includes(nodeId))
      .map(([name]) => name);

  let shownEpoch: number | null = null;
  return {
    edition() {
      everyNode();
      everyAssignment();
      counts();
      if (publisher.epoch !== shownEpoch) control.changed();
      shownEpoch = publisher.epoch;
    },
    renewed(nodeId) {
      publisher.renew(nodeId);
      identitiesMoved();
    },
    run(signal) {
      refresher.add(ALL);
      return refresher.run(signal);
    },
  };
}
