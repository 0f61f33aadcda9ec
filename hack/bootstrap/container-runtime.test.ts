/** On a machine without the container runtime: one line says how to get it. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const dir = mkdtempSync(join(tmpdir(), "container-runtime-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

const installed = ["/usr/bin/containerd", "/usr/local/bin/containerd"].some((path) => existsSync(path));

// A machine that has containerd uses it and never asks apt.
(installed ? it.skip : it)("says what to install when apt cannot fetch it, and leaves nothing", () => {
  for (const tool of ["apt-get", "apt-cache"])
    writeFileSync(join(dir, tool), "#!/bin/sh\nexit 100\n", { mode: 0o755 });
  const main = join(import.meta.dirname, "main.ts");
  const cache = join(dir, "cache");
  const { status, stderr } = spawnSync(process.execPath, [main, "container-runtime"], {
    env: { PATH: `${dir}:${process.env["PATH"]}`, HOME: dir, XDG_CACHE_HOME: cache },
    encoding: "utf8",
  });
  expect(status).toBe(1);
  expect(stderr).toBe(
    "bootstrap: containerd is missing or unfit. Install it with: " +
      "apt-get update && apt-get install -y containerd runc containernetworking-plugins\n",
  );
});
