import fs from "node:fs/promises";
import { AGENT_VERSION } from "./version.ts";

it("is the package's version", async () => {
  const manifest = JSON.parse(await fs.readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect(AGENT_VERSION).toBe(manifest.version);
});
