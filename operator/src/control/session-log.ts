/**
 * The life of each control session in the log, under an id of its own that the node is told too, so that both logs can be laid side by
 * side. Bounded by the members: nobody else has a session.
 */
import type { Log } from "../telemetry/log.ts";
import type { OperatorMetrics } from "../telemetry/operator-metrics.ts";
import type { Fleet } from "./fleet.ts";
import type { IdentityDirectory } from "./identity-directory.ts";

export interface SessionLogInit {
  readonly fleet: Pick<Fleet, "onChange" | "facts">;
  readonly identities: Pick<IdentityDirectory, "byId">;
  readonly log: Log;
  readonly metrics: Pick<OperatorMetrics, "session">;
  readonly newId: () => string;
}

export interface SessionLog {
  /** Undefined: it has none. */
  readonly idOf: (nodeId: string) => string | undefined;
}

export function createSessionLog({ fleet, identities, log, metrics, newId }: SessionLogInit): SessionLog {
  const ids = new Map<string, string>();

  fleet.onChange((nodeId, aspects) => {
    if (!aspects.includes("session")) return;
    const node = identities.byId(nodeId)?.nodeName;
    const { session } = fleet.facts(nodeId);
    const before = ids.get(nodeId);
    if (session === null) {
      ids.delete(nodeId);
      metrics.session("closed");
      log.info({ node, nodeId, session: before }, "control session closed");
      return;
    }
    // A session that is there and has another remote is one that replaced it.
    const id = newId();
    ids.set(nodeId, id);
    metrics.session("ready");
    log.info(
      { node, nodeId, session: id, replaces: before, remote: session.remote },
      "control session ready",
    );
  });

  return { idOf: (nodeId) => ids.get(nodeId) };
}
