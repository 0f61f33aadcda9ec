/** The archives of this tree's images, made once for each content of theirs. */
import { globSync } from "node:fs";
import { join } from "node:path";
import { artifacts, cacheDirectory, repositoryRoot } from "../../bootstrap/artifacts.ts";
import { buildOnce, contentHash } from "../../bootstrap/build-cache.ts";
import { imageReference, makeImageArchive } from "../../images/image.ts";
import { IMAGES } from "../../images/root-file-system.ts";

export interface LabImages {
  readonly archives: readonly string[];
  readonly references: readonly string[];
}

const SOURCES = [
  "{crds,protocol,operator,agent,cli}/src/**/*.ts",
  "engine/client/**/*.ts",
  "migrations/*.ts",
  "hack/images/*.ts",
  "package.json",
  "package-lock.json",
];

export function labImages(): LabImages {
  const files = globSync(SOURCES, { cwd: repositoryRoot }).map((file) => join(repositoryRoot, file));
  const key = contentHash(repositoryRoot, files, [artifacts().engine, process.version]);
  const { directory } = buildOnce(join(cacheDirectory(), "images"), key, (target) => {
    for (const image of IMAGES) makeImageArchive(image, join(target, `${image}.tar`));
  });
  return {
    archives: IMAGES.map((image) => join(directory, `${image}.tar`)),
    references: IMAGES.map((image) => imageReference(image)),
  };
}
