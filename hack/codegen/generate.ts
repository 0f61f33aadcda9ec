/** `npm run generate`: writes every generated file of the tree, and removes generated ones that nothing makes any more. */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestsDir, generatedFiles } from "./generated-files.ts";

await mkdir(manifestsDir, { recursive: true });
const files = generatedFiles();
for (const [path, text] of files) await writeFile(path, text);
for (const name of await readdir(manifestsDir)) {
  const path = join(manifestsDir, name);
  if (!files.has(path)) await rm(path);
}
console.log(`generated ${files.size} files in crds/manifests`);
