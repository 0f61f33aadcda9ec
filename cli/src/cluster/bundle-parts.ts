/** What the cluster says of the fabric, for `fabric bundle --cluster`: the fabric's own kinds. Secrets are not asked for. */
import { type KindDefinition, kinds } from "@saf/crds";
import { asCliError } from "../errors.ts";
import type { ClusterClient } from "./cluster-client.ts";

/** By file name. What may not be listed is said in its place. */
export async function clusterParts(client: ClusterClient): Promise<ReadonlyMap<string, string>> {
  const parts = new Map<string, string>();
  for (const kind of kinds as readonly KindDefinition[]) {
    try {
      parts.set(`${kind.plural}.json`, `${JSON.stringify(await client.list(kind), null, 2)}\n`);
    } catch (error) {
      const { code, message } = asCliError(error);
      parts.set(`${kind.plural}-failed.txt`, `${code}: ${message}\n`);
    }
  }
  return parts;
}
