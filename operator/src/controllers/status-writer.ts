/** Writes a status when it differs from the one there, and tells people when its summary changed. */
import { isDeepStrictEqual } from "node:util";
import type { Condition } from "@saf/crds";
import type { KubeClient } from "../kube/client.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import type { KubeObject, Resource } from "../kube/resource.ts";

interface Conditioned {
  readonly conditions?: Condition[] | undefined;
}

type WithStatus<Status> = KubeObject & { readonly status?: Status };

export interface StatusWriter {
  readonly client: Pick<KubeClient, "apply" | "mergePatch">;
  readonly events: EventRecorder;
}

/** Reasons that are no trouble although they are not `True`: on the way, as somebody decided, or an end that was planned. */
const CALM = new Set([
  "AwaitingNode",
  "AwaitingDecision",
  "Denied",
  "Exhausted",
  "Expired",
  "Joining",
  "Leaving",
  "Pending",
  "Suspended",
]);

export async function writeStatus<Status extends Conditioned, T extends WithStatus<Status>>(
  { client, events }: StatusWriter,
  resource: Resource<T>,
  object: T,
  status: Status,
): Promise<void> {
  if (isDeepStrictEqual(object.status, status)) return;
  const { name } = object.metadata;
  const applied = await client.apply<WithStatus<Status>>(resource, { metadata: { name }, status }, "status");
  const strays = Object.keys(applied.status ?? {}).filter((field) => !Object.hasOwn(status, field));
  if (strays.length > 0) await removeFields(client, resource, name, strays);
  tellTransition(events, object, object.status, status);
}

/** Server-side apply leaves alone what another manager wrote; a status says only what the operator found. */
async function removeFields<T extends KubeObject>(
  client: Pick<KubeClient, "mergePatch">,
  resource: Resource<T>,
  name: string,
  fields: readonly string[],
): Promise<void> {
  const status = Object.fromEntries(fields.map((field) => [field, null]));
  await client.mergePatch(resource, name, { status }, "status");
}

/** An Event for each new reason of Ready: that is the story which `kubectl get events` tells. */
function tellTransition(
  events: EventRecorder,
  object: KubeObject,
  before: Conditioned | undefined,
  after: Conditioned,
): void {
  const ready = after.conditions?.find(({ type }) => type === "Ready");
  const was = before?.conditions?.find(({ type }) => type === "Ready");
  if (!ready || (was?.reason === ready.reason && was.status === ready.status)) return;
  const type = ready.status === "True" || CALM.has(ready.reason) ? "Normal" : "Warning";
  events.record({ object, type, reason: ready.reason, message: ready.message });
}
