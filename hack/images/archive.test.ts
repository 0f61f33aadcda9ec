import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeArchive } from "./archive.ts";

const dir = mkdtempSync(join(tmpdir(), "archive-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

const layer = join(dir, "layer");
mkdirSync(layer);
const file = join(layer, "hello");
writeFileSync(file, "hello", { mode: 0o755 });
const spec = { reference: "saf.local/hello:1", layers: [layer], user: "7:7", command: ["/hello"] };

function read(archive: string, path: string): Buffer {
  return execFileSync("tar", ["--extract", "--to-stdout", "--file", archive, `./${path}`]);
}

it("names its configuration and layers by their content", () => {
  const archive = join(dir, "one.tar");
  writeArchive(spec, archive);
  const [image] = JSON.parse(read(archive, "manifest.json").toString()) as [
    { Config: string; RepoTags: string[]; Layers: string[] },
  ];
  expect(image.RepoTags).toEqual(["saf.local/hello:1"]);
  const config = read(archive, image.Config);
  const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
  expect(image.Config).toBe(`${sha256(config)}.json`);
  const parsed = JSON.parse(config.toString()) as { rootfs: { diff_ids: string[] }; config: object };
  expect(parsed.config).toMatchObject({ User: "7:7", Cmd: ["/hello"] });
  expect(parsed.rootfs.diff_ids).toEqual(image.Layers.map((path) => `sha256:${sha256(read(archive, path))}`));
  const listing = execFileSync("tar", ["--list", "--verbose"], { input: read(archive, image.Layers[0]!) });
  expect(listing.toString()).toMatch(/^-rwxr-xr-x 0\/0 +5 1970-01-01 .* \.\/hello$/m);
});

it("is the same for the same content", () => {
  const [first, second] = [join(dir, "first.tar"), join(dir, "second.tar")];
  writeArchive(spec, first);
  utimesSync(file, 1, 1);
  writeArchive(spec, second);
  expect(readFileSync(second).equals(readFileSync(first))).toBe(true);
});
