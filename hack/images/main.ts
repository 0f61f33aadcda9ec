/**
 * Makes the images' content.
 *
 *   node hack/images/main.ts layers agent <folder>          <folder>/base and <folder>/programs, for a Dockerfile
 *   node hack/images/main.ts archive agent <file.tar>       an importable image, without a Docker engine
 *
 * Needs the engine that bootstrap built.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeImageArchive } from "./image.ts";
import { IMAGES, layBase, layPrograms, type ImageName } from "./root-file-system.ts";

const [verb, name, target] = process.argv.slice(2);
const image = IMAGES.find((each): each is ImageName => each === name);
if (image === undefined || target === undefined || (verb !== "layers" && verb !== "archive")) {
  console.error("usage: main.ts layers|archive operator|agent <target>");
  process.exit(2);
}
if (verb === "layers") {
  const [base, programs] = ["base", "programs"].map((folder) => join(target, folder)) as [string, string];
  mkdirSync(base, { recursive: true });
  layBase(base);
  layPrograms(image, programs, base);
} else {
  const reference = makeImageArchive(image, target);
  console.log(`${reference}: ${(statSync(target).size / 1e6).toFixed(0)} MB in ${target}`);
}
