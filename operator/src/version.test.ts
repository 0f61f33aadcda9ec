import fs from "node:fs/promises";
import { OPERATOR_VERSION } from "./version.ts";

it("is the package's version", async () => {
  const manifest = JSON.parse(await fs.readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect(OPERATOR_VERSION).toBe(manifest.version);
});
