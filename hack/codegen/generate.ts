/**
 * `npm run generate`: writes every generated file of the tree, and removes generated ones that nothing makes any more.
 * The engine's TypeScript types come out of its Rust types, by a test of the engine (ts-rs).
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cargo } from "../checks/cargo.ts";
import { generatedDirs, generatedFiles } from "./generated-files.ts";

await generateFiles();
await generateEngineTypes();

async function generateFiles(): Promise<void> {
  for (const dir of generatedDirs) await mkdir(dir, { recursive: true });
  const files = generatedFiles();
  for (const [path, text] of files) await writeFile(path, text);
  for (const dir of generatedDirs)
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      if (!files.has(path)) await rm(path);
    }
  console.log(`generated ${files.size} files: crds/manifests, charts, docs/limits.md, docs/metrics.md`);
}

async function generateEngineTypes(): Promise<void> {
  const problem = await cargo("engine", ["test", "--locked", "--quiet", "--lib", "bindings"], {
    ...process.env,
    UPDATE_BINDINGS: "1",
  });
  if (problem !== undefined) throw new Error(`engine types: ${problem}`);
  console.log("generated engine/client/generated");
}
