/** What every controller of one spell of ruling is given. */
import type { Cluster, FabricNode, JoinRequest, JoinToken, RoleAssignment } from "@saf/crds";
import type { Authority } from "../authority/authority.ts";
import type { Fleet } from "../control/fleet.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import type { Informer } from "../kube/informer.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Log } from "../telemetry/log.ts";
import type { OperatorTelemetry } from "../telemetry/operator-telemetry.ts";
import type { IdentityDirectory } from "../control/identity-directory.ts";

export interface Caches {
  readonly clusters: Informer<Cluster>;
  readonly nodes: Informer<FabricNode>;
  readonly assignments: Informer<RoleAssignment>;
  readonly tokens: Informer<JoinToken>;
  readonly requests: Informer<JoinRequest>;
}

export interface Scope {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly events: EventRecorder;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly telemetry: OperatorTelemetry;
  readonly ledger: Ledger;
  readonly term: number;
  readonly authority: Authority;
  readonly identities: IdentityDirectory;
  readonly fleet: Fleet;
  /** The Cluster that is ruled, as it is now. */
  readonly cluster: () => Cluster;
}
