/**
 * Writes an image as a docker-archive: `ctr images import`, `docker load` and `skopeo copy` read it. No Docker engine takes
 * part. The same content gives the same bytes.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface ImageSpec {
  /** With tag. */
  readonly reference: string;
  /** Folders, lowest first; each is one layer. */
  readonly layers: readonly string[];
  readonly user?: string;
  readonly env?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
}

/** Scratch space is made beside the target. */
export function writeArchive(spec: ImageSpec, target: string): void {
  const folder = mkdtempSync(`${target}.parts-`);
  try {
    const layers = spec.layers.map((layer) => writeLayer(layer, folder));
    const config = JSON.stringify({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: {
        User: spec.user,
        Env: spec.env,
        Entrypoint: spec.entrypoint,
        Cmd: spec.command,
        WorkingDir: "/",
      },
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
      history: layers.map(() => ({ created: "1970-01-01T00:00:00Z", created_by: "hack/images" })),
    });
    const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
    writeFileSync(join(folder, configName), config);
    const manifest = [
      { Config: configName, RepoTags: [spec.reference], Layers: layers.map(({ file }) => file) },
    ];
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    tar(folder, `${target}.new`);
    renameSync(`${target}.new`, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeLayer(layer: string, folder: string): { file: string; digest: string } {
  const temporary = join(folder, "layer.tar");
  tar(layer, temporary);
  const digest = createHash("sha256").update(readFileSync(temporary)).digest("hex");
  mkdirSync(join(folder, digest), { recursive: true });
  renameSync(temporary, join(folder, digest, "layer.tar"));
  return { file: `${digest}/layer.tar`, digest };
}

function tar(folder: string, target: string): void {
  const same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
  execFileSync("tar", [...same, "--create", "--file", target, "--directory", folder, "."]);
}
