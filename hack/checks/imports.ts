/**
 * Imports go downwards only:
 *
 *   crds, protocol, telemetry → engine → operator, agent → cli
 *   crds → cdk8s
 *
 * operator and agent never import each other. hack may import anything; hack is imported only by tests against the lab or
 * the real API server (`*.lab.test.ts`, `*.e2e.test.ts`, and what they share in a folder `e2e` or `lab`). Another workspace
 * is imported by its package name, so that what it exports is its only door.
 */
import { posix } from "node:path";

/** What each folder may import beside itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  crds: [],
  protocol: [],
  telemetry: [],
  migrations: [],
  engine: ["crds", "protocol"],
  operator: ["crds", "protocol", "telemetry", "engine", "migrations"],
  agent: ["crds", "protocol", "telemetry", "engine"],
  cli: ["crds", "protocol", "telemetry", "engine", "operator", "agent"],
  cdk8s: ["crds"],
};

const SPECIFIER = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*["']([^"'\n]+)["']/g;
const MAY_IMPORT_HACK = /\.(lab|e2e)\.test\.ts$|\/(lab|e2e)\//;

/** Problems of one source file, one line each. `path` is from the root. */
export function wrongImports(path: string, source: string): string[] {
  const from = folderOf(path);
  const allowed = ALLOWED[from];
  if (!allowed) return [];
  return [...source.matchAll(SPECIFIER)].flatMap(([, specifier = ""]) => {
    const to = targetOf(path, specifier);
    if (to === undefined || to === from) return [];
    if (to === "hack")
      return MAY_IMPORT_HACK.test(path)
        ? []
        : [`${path}: "${specifier}": only lab and e2e tests import hack`];
    if (!allowed.includes(to)) return [`${path}: "${specifier}": ${from} may not import ${to}`];
    if (specifier.startsWith(".") && to !== "migrations")
      return [`${path}: "${specifier}": import @saf/${to} instead`];
    return [];
  });
}

/** The top-level folder that a specifier leads to; undefined for packages from outside. */
function targetOf(path: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return folderOf(posix.join(posix.dirname(path), specifier));
  return /^@saf\/([^/]+)/.exec(specifier)?.[1];
}

function folderOf(path: string): string {
  return path.split("/", 1)[0] ?? "";
}
