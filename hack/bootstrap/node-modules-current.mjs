/**
 * Exits 0 when node_modules holds what package-lock.json asks for. npm writes node_modules/.package-lock.json at the
 * very end of an installation, so an interrupted one does not count. Plain JavaScript: it runs before anything is
 * installed, under whatever Node >= 20 the machine has.
 */
import { existsSync, readFileSync } from "node:fs";

const packagesOf = (path) => JSON.parse(readFileSync(path, "utf8")).packages;

function isCurrent() {
  if (!existsSync("node_modules/.package-lock.json")) return false;
  const wanted = packagesOf("package-lock.json");
  delete wanted[""]; // the tree itself
  const installed = packagesOf("node_modules/.package-lock.json");
  const matches = (name) =>
    installed[name].version === wanted[name]?.version &&
    installed[name].integrity === wanted[name]?.integrity;
  // What is wanted and absent may only be an optional package: one for another platform.
  const complete = Object.keys(wanted).every((name) => name in installed || wanted[name].optional === true);
  return complete && Object.keys(installed).every(matches);
}

process.exit(isCurrent() ? 0 : 1);
