/** `node hack/release/main.ts tarball|deb [folder]`: a release in the folder, here by default. Needs the engine that bootstrap built. */
import { mkdirSync, statSync } from "node:fs";
import { makeDebianPackage, makeTarball } from "./release.ts";

const makers = { tarball: makeTarball, deb: makeDebianPackage } as const;
const [form, target = "."] = process.argv.slice(2);
if (form !== "tarball" && form !== "deb") {
  console.error("usage: main.ts tarball|deb [folder]");
  process.exit(2);
}
mkdirSync(target, { recursive: true });
const file = makers[form](target);
console.log(`${file}: ${(statSync(file).size / 1e6).toFixed(1)} MB`);
