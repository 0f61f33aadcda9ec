/** A file is named by the noun it exports: kebab-case, and none of the names under which anything can hide. */
const FORBIDDEN = new Set(["util", "utils", "helper", "helpers", "common", "manager", "misc"]);

/** Names that others gave: `kube-controller-manager` is Kubernetes' own. */
const GIVEN = new Set(["controller-manager"]);

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)+$/;

/** One line for each file that breaks the rule. */
export function wrongFileNames(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const names = path.split("/").map((segment) => segment.replace(/\..*$/, ""));
    const hiding = names.find(
      (name) => !GIVEN.has(name) && name.split(/[-_]/).some((word) => FORBIDDEN.has(word)),
    );
    if (hiding) return [`${path}: "${hiding}" says nothing; name it by what it exports`];
    const file = path.slice(path.lastIndexOf("/") + 1);
    if (/\.(ts|cjs|mjs|js)$/.test(file) && !KEBAB.test(file)) return [`${path}: not kebab-case`];
    return [];
  });
}
