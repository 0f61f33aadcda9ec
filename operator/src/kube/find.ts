/** Asks for an object that may not be there. */
import type { KubeClient } from "./client.ts";
import { isKubeError } from "./errors.ts";
import type { KubeObject, Resource } from "./resource.ts";

/** Undefined when there is none. Throws KubeError. */
export async function findObject<T extends KubeObject>(
  client: Pick<KubeClient, "get">,
  resource: Resource<T>,
  name: string,
  options?: Parameters<KubeClient["get"]>[2],
): Promise<T | undefined> {
  try {
    return await client.get(resource, name, options);
  } catch (error) {
    if (isKubeError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
