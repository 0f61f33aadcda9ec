/** One file for each program, with everything that npm brings for it; only Node stays outside. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

const PROGRAMS = { agent: "agent/src/main.ts", fabric: "cli/src/main.ts" } as const;
export type Program = keyof typeof PROGRAMS;

/** For the packages that are CommonJS. */
const FIRST_LINES = `import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);`;

/** The file runs by itself, under the Node at `node`. */
export function bundle(program: Program, target: string, node: string): void {
  const { outputFiles } = buildSync({
    entryPoints: [join(repositoryRoot, PROGRAMS[program])],
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "esm",
    // Only the white space goes: names stay readable in a stack trace.
    minifyWhitespace: true,
    legalComments: "none",
    banner: { js: FIRST_LINES },
    logLevel: "warning",
  });
  const code = outputFiles[0]?.text.replace(/^#!.*\n/, "") ?? "";
  writeFileSync(target, `#!${node}\n${code}`, { mode: 0o755 });
}
