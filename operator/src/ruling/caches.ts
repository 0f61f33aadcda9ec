/** The informers of one spell of leading. */
import type { Caches } from "../controllers/scope.ts";
import {
  CLUSTERS,
  FABRIC_NODES,
  JOIN_REQUESTS,
  JOIN_TOKENS,
  ROLE_ASSIGNMENTS,
} from "../controllers/resources.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { createInformer } from "../kube/informer.ts";
import type { KubeError } from "../kube/errors.ts";
import type { Log } from "../telemetry/log.ts";

export interface CachesInit {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** What the API server refuses to let it read. */
  readonly onRefused: (error: KubeError) => void;
}

export function createCaches(init: CachesInit): Caches {
  return {
    clusters: createInformer({ ...init, resource: CLUSTERS }),
    nodes: createInformer({ ...init, resource: FABRIC_NODES }),
    assignments: createInformer({ ...init, resource: ROLE_ASSIGNMENTS }),
    tokens: createInformer({ ...init, resource: JOIN_TOKENS }),
    requests: createInformer({ ...init, resource: JOIN_REQUESTS }),
  };
}

export function informersOf(
  caches: Caches,
): readonly { synced: Promise<void>; readonly run: (signal: AbortSignal) => Promise<void> }[] {
  return [caches.clusters, caches.nodes, caches.assignments, caches.tokens, caches.requests];
}
