/** The images by name, as the chart names them. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { productVersion } from "../bootstrap/artifacts.ts";
import { writeArchive } from "./archive.ts";
import { type ImageName, layBase, layPrograms } from "./root-file-system.ts";

const REGISTRY = "ghcr.io/secure-access-fabric";

/** `ghcr.io/secure-access-fabric/fabric-agent:0.1.0`. */
export function imageReference(image: ImageName, tag: string = productVersion()): string {
  return `${REGISTRY}/fabric-${image}:${tag}`;
}

/** Returns the reference. */
export function makeImageArchive(image: ImageName, target: string, tag?: string): string {
  const folder = mkdtempSync(`${target}.layers-`);
  try {
    const [base, programs] = ["base", "programs"].map((name) => join(folder, name)) as [string, string];
    mkdirSync(base);
    layBase(base);
    layPrograms(image, programs, base);
    const reference = imageReference(image, tag);
    writeArchive(
      {
        reference,
        layers: [base, programs],
        user: "65532:65532",
        env: ["PATH=/usr/local/bin", "NODE_ENV=production"],
        command: [`/usr/local/bin/fabric-${image}`],
      },
      target,
    );
    return reference;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
