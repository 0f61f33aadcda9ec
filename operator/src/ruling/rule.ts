/**
 * One spell of ruling a Cluster: everything that acts under one term, from the claim to the end.
 *
 *   people ─► informers ─► controllers ─► ledger            (decisions)
 *                             │ identities, roles, places
 *                             ▼
 *                          publisher ─► authority ─► control server ─► nodes
 *   nodes ─► control server ─► fleet ─► controllers ─► status ─► people
 *
 * It ends when its signal aborts, the term is fenced, or the Cluster is another one; then everything in it has ended too.
 */
import type { Cluster } from "@saf/crds";
import type { Logger } from "pino";
import type { Endpoint } from "@saf/protocol";
import type { Authority } from "../authority/authority.ts";
import { createControlServer } from "../control/control-server.ts";
import type { ConnectEngine } from "../control/engine-port.ts";
import { createFleet } from "../control/fleet.ts";
import { createIdentityDirectory } from "../control/identity-directory.ts";
import { reconcileCluster } from "../controllers/cluster/controller.ts";
import { rulingCluster } from "../controllers/cluster/decide.ts";
import { createController, type Controller } from "../controllers/controller.ts";
import { reconcileNode } from "../controllers/fabric-node/controller.ts";
import { lastKnown } from "../controllers/fabric-node/last-known.ts";
import { reconcileRequest } from "../controllers/join-request/controller.ts";
import { reconcileToken } from "../controllers/join-token/controller.ts";
import { reconcileAssignment } from "../controllers/role-assignment/controller.ts";
import type { Caches, Scope } from "../controllers/scope.ts";
import { createPublisher } from "../controllers/snapshot/publisher.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import type { Ledger, Term } from "../ledger/ledger.ts";
import { createEnrolmentService } from "./enrolment-service.ts";
import { runTogether } from "./tasks.ts";
import { connectTriggers } from "./triggers.ts";

export interface RuleInit {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly ledger: Ledger;
  readonly authority: Authority;
  readonly term: Term;
  readonly cluster: Cluster;
  readonly holder: string;
  readonly connectEngine: ConnectEngine;
  readonly controlKeyFile: string;
  readonly enrolment: { readonly listen: Endpoint; readonly advertise: readonly string[] };
}

export interface Controllers {
  readonly clusters: Controller;
  readonly nodes: Controller;
  readonly assignments: Controller;
  readonly tokens: Controller;
  readonly requests: Controller;
}

export async function rule(init: RuleInit, signal: AbortSignal): Promise<void> {
  const { authority, caches, ledger, log, term } = init;
  const office = new AbortController();
  const stop = (): void => office.abort();
  signal.addEventListener("abort", stop, { once: true });
  const onFenced = (error: unknown): void => {
    log.warn({ error, term: term.term }, "fenced: another operator rules");
    office.abort();
  };

  const ruled = init.cluster;
  const cluster = (): Cluster => caches.clusters.get(ruled.metadata.name) ?? ruled;
  const scope: Scope = {
    ...init,
    term: term.term,
    identities: createIdentityDirectory(ledger),
    fleet: createFleet(),
    cluster,
  };
  const enrolment = createEnrolmentService({
    ...init.enrolment,
    scope,
    log,
    onJoin: (requestId) => {
      controllers.requests.add(requestId);
      caches.tokens.list().forEach(({ metadata }) => controllers.tokens.add(metadata.name));
    },
  });
  const control = createControlServer({
    connect: init.connectEngine,
    keyFile: init.controlKeyFile,
    trustDomain: ledger.trustDomain,
    authority,
    identities: scope.identities,
    fleet: scope.fleet,
    epoch: () => publisher.epoch ?? term.epoch,
    clock: init.clock,
    random: init.random,
    log,
    onRenewed: (nodeId) => triggers.renewed(nodeId),
    onFenced,
  });
  const publisher = createPublisher({
    scope,
    send: control.send,
    onFenced,
    onEdition: () => triggers.edition(),
  });
  const controller = (
    name: string,
    reconcile: (key: string) => ReturnType<Parameters<typeof createController>[0]["reconcile"]>,
  ): Controller => createController({ name, scope, reconcile, onFenced });
  const controllers: Controllers = {
    clusters: controller(
      "cluster",
      reconcileCluster(scope, init.holder, term.epoch, () => publisher),
    ),
    nodes: controller("fabric-node", reconcileNode(scope, publisher)),
    assignments: controller("role-assignment", reconcileAssignment(scope, publisher)),
    tokens: controller("join-token", reconcileToken(scope)),
    requests: controller("join-request", reconcileRequest(scope, { decided: enrolment.decided })),
  };
  const triggers = connectTriggers({ scope, controllers, publisher, control, enrolment });
  caches.clusters.onChange(() => {
    if (rulingCluster(caches.clusters.list())?.metadata.uid !== ruled.metadata.uid) stop();
  });

  if (signal.aborted) return;
  await scope.identities.refresh();
  for (const node of caches.nodes.list()) scope.fleet.remember(node.spec.nodeId, lastKnown(node));
  const work = [...Object.values(controllers), publisher, control, enrolment, triggers];
  try {
    await runTogether(
      office,
      work.map((part) => (officeSignal) => part.run(officeSignal)),
    );
  } finally {
    signal.removeEventListener("abort", stop);
    await init.events.flush();
  }
}
