/** Keeps the labels of a FabricNode's folders as its spec has them (N9: an inventory, never a permission). */
import { GROUP_LABEL_PREFIX, groupLabels, type FabricNode } from "@saf/crds";
import type { KubeClient } from "../../kube/client.ts";
import { FABRIC_NODES } from "../resources.ts";

/** What has to change, as a merge patch of labels; undefined when nothing does. */
export function labelChanges({ metadata, spec }: FabricNode): Record<string, string | null> | undefined {
  const wanted = groupLabels(spec.groups ?? []);
  const there = metadata.labels ?? {};
  const stray = Object.keys(there).filter(
    (name) => name.startsWith(GROUP_LABEL_PREFIX) && !Object.hasOwn(wanted, name),
  );
  const lacking = Object.entries(wanted).filter(([name, value]) => there[name] !== value);
  if (stray.length + lacking.length === 0) return undefined;
  return { ...Object.fromEntries(lacking), ...Object.fromEntries(stray.map((name) => [name, null])) };
}

export async function keepGroupLabels(
  client: Pick<KubeClient, "mergePatch">,
  node: FabricNode,
): Promise<void> {
  const labels = labelChanges(node);
  if (labels) await client.mergePatch(FABRIC_NODES, node.metadata.name, { metadata: { labels } });
}
