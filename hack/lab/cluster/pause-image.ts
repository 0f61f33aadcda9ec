/** The image of a pod's first process: one static program, compiled here because there is no registry. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeArchive } from "../../images/archive.ts";
import { PAUSE_IMAGE } from "./node-config.ts";

/** Returns the archive, made in `folder`. */
export function makePauseImage(folder: string): string {
  const layer = join(folder, "pause");
  mkdirSync(layer);
  const source = join(import.meta.dirname, "pause.c");
  execFileSync("cc", ["-static", "-Os", "-s", "-o", join(layer, "pause"), source], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const archive = join(folder, "pause.tar");
  writeArchive(
    { reference: PAUSE_IMAGE, layers: [layer], user: "65535:65535", command: ["/pause"] },
    archive,
  );
  return archive;
}
