/** Finalizers: our name on an object until what it stands for elsewhere has been undone. */
import { isKubeError } from "./errors.ts";
import type { KubeClient } from "./client.ts";
import type { KubeObject, Resource } from "./resource.ts";

export const FINALIZER = "fabric.saf.dev/operator";

export function hasFinalizer({ metadata }: KubeObject): boolean {
  return metadata.finalizers?.includes(FINALIZER) ?? false;
}

/** Throws KubeError CONFLICT when the object changed meanwhile: work on it again. */
export async function addFinalizer<T extends KubeObject>(
  client: Pick<KubeClient, "mergePatch">,
  resource: Resource<T>,
  object: T,
): Promise<void> {
  if (hasFinalizer(object)) return;
  await patchFinalizers(client, resource, object, [...(object.metadata.finalizers ?? []), FINALIZER]);
}

/** An object that is already gone is the end that was wanted. */
export async function removeFinalizer<T extends KubeObject>(
  client: Pick<KubeClient, "mergePatch">,
  resource: Resource<T>,
  object: T,
): Promise<void> {
  if (!hasFinalizer(object)) return;
  const others = (object.metadata.finalizers ?? []).filter((name) => name !== FINALIZER);
  try {
    await patchFinalizers(client, resource, object, others);
  } catch (error) {
    if (!isKubeError(error, "NOT_FOUND")) throw error;
  }
}

async function patchFinalizers<T extends KubeObject>(
  client: Pick<KubeClient, "mergePatch">,
  resource: Resource<T>,
  { metadata: { name, resourceVersion } }: T,
  finalizers: readonly string[],
): Promise<void> {
  await client.mergePatch(resource, name, { metadata: { resourceVersion, finalizers } });
}
