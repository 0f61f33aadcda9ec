/**
 * Tells a change of what people want from a change of what we ourselves wrote. Informers say only that an object changed; most
 * changes of a FabricNode are its own status, and those must not set the snapshot compiler going.
 */
import type { KubeObject } from "../kube/resource.ts";

export interface IntentWatch {
  /** Whether the object's intent differs from the last time it was asked about. Bounded by the objects there are. */
  moved(name: string, object: KubeObject | undefined): boolean;
}

export function createIntentWatch(): IntentWatch {
  const known = new Map<string, string>();
  return {
    moved(name, object) {
      const before = known.get(name);
      if (!object) return known.delete(name);
      const { uid, generation, labels, deletionTimestamp } = object.metadata;
      const intent = JSON.stringify([uid, generation, labels, deletionTimestamp]);
      known.set(name, intent);
      return before !== intent;
    },
  };
}
