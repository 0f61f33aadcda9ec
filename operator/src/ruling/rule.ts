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
import { X509Certificate } from "node:crypto";
import type { Cluster } from "@saf/crds";
import type { Logger } from "pino";
import type { Endpoint } from "@saf/protocol";
import { createAttestor } from "../attestation/attestor.ts";
import type { Authority } from "../authority/authority.ts";
import { createControlServer } from "../control/control-server.ts";
import type { ConnectEngine } from "../control/engine-port.ts";
import { createFleet } from "../control/fleet.ts";
import { createIdentityDirectory } from "../control/identity-directory.ts";
import { countNodes, reconcileCluster } from "../controllers/cluster/controller.ts";
import { rulingCluster } from "../controllers/cluster/decide.ts";
import { createController, type Controller, type ControllerInit } from "../controllers/controller.ts";
import { reconcileNode } from "../controllers/fabric-node/controller.ts";
import { belongs } from "../controllers/fabric-node/decide.ts";
import { lastKnown } from "../controllers/fabric-node/last-known.ts";
import { reconcileRequest } from "../controllers/join-request/controller.ts";
import { reconcileToken } from "../controllers/join-token/controller.ts";
import { reconcileAssignment } from "../controllers/role-assignment/controller.ts";
import type { Caches, Scope } from "../controllers/scope.ts";
import { createPublisher, type Publisher } from "../controllers/snapshot/publisher.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import type { Ledger, Term } from "../ledger/ledger.ts";
import type { Ruling } from "../telemetry/operator-metrics.ts";
import type { OperatorTelemetry } from "../telemetry/operator-telemetry.ts";
import { createEnrolmentService } from "./enrolment-service.ts";
import { leadService, type ServiceLead } from "./service-lead.ts";
import { publishTrust } from "./trust-config-map.ts";
import { runTogether } from "./tasks.ts";
import { connectTriggers } from "./triggers.ts";

export interface RuleInit {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly telemetry: OperatorTelemetry;
  readonly ledger: Ledger;
  readonly authority: Authority;
  readonly term: Term;
  readonly cluster: Cluster;
  readonly holder: string;
  readonly connectEngine: ConnectEngine;
  readonly controlKeyFile: string;
  readonly enrolment: { readonly listen: Endpoint; readonly advertise: readonly string[] };
  /** A Service that is to lead to the one that rules. */
  readonly serviceLead?: ServiceLead | undefined;
}

export interface Controllers {
  readonly clusters: Controller;
  readonly nodes: Controller;
  readonly assignments: Controller;
  readonly tokens: Controller;
  readonly requests: Controller;
  readonly trust: Controller;
}

export async function rule(init: RuleInit, signal: AbortSignal): Promise<void> {
  const { caches, log, term } = init;
  const office = new AbortController();
  const stop = (): void => office.abort();
  const onFenced = (error: unknown): void => {
    log.warn({ error, term: term.term }, "fenced: another operator rules");
    stop();
  };
  const scope = scopeOf(init);
  const { parts, publisher } = assemble(init, scope, onFenced);
  caches.clusters.onChange(() => {
    if (rulingCluster(caches.clusters.list())?.metadata.uid !== init.cluster.metadata.uid) stop();
  });
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const { duty, metrics } = init.telemetry;
  const ends = [duty.ruling(), metrics.ruling(rulingOf(scope, publisher, term.epoch))];
  try {
    await scope.identities.refresh();
    for (const node of caches.nodes.list())
      if (belongs(node, scope.identities.byName(node.metadata.name)))
        scope.fleet.remember(node.spec.nodeId, lastKnown(node));
    await runTogether(
      office,
      parts.map((part) => (officeSignal) => part.run(officeSignal)),
    );
  } finally {
    signal.removeEventListener("abort", stop);
    ends.forEach((end) => end());
  }
}

function rulingOf(scope: Scope, publisher: Publisher, startEpoch: number): Ruling {
  const epoch = (): number => publisher.epoch ?? startEpoch;
  return {
    term: scope.term,
    epoch,
    editionSeconds: () => (publisher.edition === null ? null : publisher.edition.sinceMs / 1000),
    nodes: () => countNodes(scope, epoch()),
    nextCertificateEnd: () => {
      const ends = scope.identities
        .all()
        .flatMap(({ status, certificateNotAfter }) =>
          status === "Active" && certificateNotAfter !== null ? [certificateNotAfter] : [],
        );
      return ends.length === 0 ? null : Math.min(...ends);
    },
    caEndSeconds: Date.parse(new X509Certificate(scope.authority.caCertificatePem).validTo) / 1000,
  };
}

function scopeOf(init: RuleInit): Scope {
  const { caches, cluster, ledger, term } = init;
  return {
    ...init,
    term: term.term,
    identities: createIdentityDirectory(ledger),
    fleet: createFleet(),
    cluster: () => caches.clusters.get(cluster.metadata.name) ?? cluster,
  };
}

interface Part {
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** Makes everything that acts, and joins it; nothing runs yet. */
function assemble(
  init: RuleInit,
  scope: Scope,
  onFenced: (error: unknown) => void,
): { readonly parts: readonly Part[]; readonly publisher: Publisher } {
  const { caches, log, term } = init;
  const attestor = createAttestor(scope);
  const enrolment = createEnrolmentService({
    ...init.enrolment,
    scope,
    attestor,
    log,
    onJoin: (requestId) => {
      controllers.requests.add(requestId);
      caches.tokens.list().forEach(({ metadata }) => controllers.tokens.add(metadata.name));
    },
  });
  const control = createControlServer({
    ...scope,
    connect: init.connectEngine,
    keyFile: init.controlKeyFile,
    trustDomain: scope.ledger.trustDomain,
    epoch: () => publisher.epoch ?? term.epoch,
    onRenewed: (nodeId) => triggers.renewed(nodeId),
    onFenced,
  });
  const publisher = createPublisher({
    scope,
    send: control.send,
    onFenced,
    onEdition: () => triggers.edition(),
  });
  const dismiss = (nodeId: string, message: string): Promise<boolean> =>
    control.send(nodeId, { kind: "refused", body: { code: "REVOKED", message } });
  const make = (name: string, reconcile: ControllerInit["reconcile"]): Controller =>
    createController({ name, scope, reconcile, onFenced });
  const controllers: Controllers = {
    clusters: make(
      "cluster",
      reconcileCluster(scope, init.holder, term.epoch, () => publisher),
    ),
    nodes: make("fabric-node", reconcileNode(scope, publisher, { dismiss })),
    assignments: make("role-assignment", reconcileAssignment(scope, publisher)),
    tokens: make("join-token", reconcileToken(scope)),
    requests: make(
      "join-request",
      reconcileRequest(scope, {
        decided: enrolment.decided,
        autoApproves: (pod, roles) => attestor.autoApproves(pod, roles),
      }),
    ),
    trust: make("trust", publishTrust(scope)),
  };
  const triggers = connectTriggers({ scope, controllers, publisher, control, enrolment });
  const { serviceLead: lead, client, clock } = init;
  const led = lead
    ? [{ run: (signal: AbortSignal) => leadService({ client, clock, log, lead }, signal) }]
    : [];
  return {
    parts: [...Object.values(controllers), publisher, control, enrolment, triggers, ...led],
    publisher,
  };
}
