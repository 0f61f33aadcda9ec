/** Labels by which the folders of `FabricNode.spec.groups` can be asked for. */
export const GROUP_LABEL_PREFIX = "groups.fabric.saf.dev/";

/** A folder and all above it, as labels: `site/berlin/rack-7` gives site, site.berlin and site.berlin.rack-7. */
export function groupLabels(groups: readonly string[]): Record<string, string> {
  const names = groups.flatMap((path) => {
    const folders = path.split("/");
    return folders.map((_folder, depth) => folders.slice(0, depth + 1).join("."));
  });
  return Object.fromEntries([...new Set(names)].sort().map((name) => [`${GROUP_LABEL_PREFIX}${name}`, ""]));
}
