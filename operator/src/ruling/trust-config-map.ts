/**
 * The ConfigMap `fabric-trust`: whom hosts in this Kubernetes cluster may believe. Agents of a DaemonSet mount it and compare the
 * enrolment server with its pin, as others do with the pin in their join token. Nothing in it is secret; whoever may change it can
 * make new nodes join elsewhere.
 */
import { isDeepStrictEqual } from "node:util";
import type { Scope } from "../controllers/scope.ts";
import { findObject } from "../kube/find.ts";
import { CONFIG_MAPS } from "../kube/resource.ts";

export const TRUST_CONFIG_MAP = "fabric-trust";

export function publishTrust({
  authority,
  client,
}: Pick<Scope, "authority" | "client">): (name: string) => Promise<undefined> {
  const data = { pin: authority.caPin, "ca.crt": authority.caCertificatePem };
  return async (name) => {
    const found = await findObject(client, CONFIG_MAPS, name);
    if (isDeepStrictEqual(found?.data, data)) return undefined;
    await client.apply(CONFIG_MAPS, { metadata: { name }, data });
    return undefined;
  };
}
