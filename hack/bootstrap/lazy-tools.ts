/**
 * Tools that only some tests use, built when the first of them asks: helm and kustomize. One at a time, under a lock of their own:
 * a test need not wait for another tree's bootstrap.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { artifacts, cacheDirectory, repositoryRoot } from "./artifacts.ts";

export type LazyTool = "helm" | "kustomize";

/** A test that may be the first to ask needs this long. */
export const LAZY_BUILD_TIMEOUT_MS = 15 * 60_000;

/** The tool's path; it is built when it is not there yet. */
export function buildLazily(tool: LazyTool): string {
  const cache = cacheDirectory();
  mkdirSync(cache, { recursive: true });
  const build = [process.execPath, join(repositoryRoot, "hack/bootstrap/main.ts"), tool];
  execFileSync("flock", [join(cache, "lazy-tools.lock"), ...build], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return artifacts()[tool];
}
