/** A patched crate, made of a small one that the engine uses. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "./artifacts.ts";
import { patchCrates } from "./patched-crates.ts";

const engine = mkdtempSync(join(tmpdir(), "patched-crates-test-"));
afterAll(() => rmSync(engine, { recursive: true }));

const lock = readFileSync(join(repositoryRoot, "engine/Cargo.lock"), "utf8");
const entry = /name = "lru-slab"\nversion = "(.*)"\n(source = .*\nchecksum = "(.*)"\n)/.exec(lock)!;
const [, version, fromRegistry, sha256] = entry as unknown as [string, string, string, string];
const folder = join(engine, `patches/lru-slab-${version}`);
const copy = join(engine, "patched/lru-slab");

it("is made once, and again when a patch changes", () => {
  writeFileSync(join(engine, "Cargo.lock"), lock.replace(fromRegistry, ""));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "sha256"), `${sha256}\n`);
  patchCrates(engine);
  const library = join(copy, "src/lib.rs");
  const original = readFileSync(library, "utf8");
  const [first] = original.split("\n");
  const adding = (line: string): string =>
    `Why.\n\n--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,1 +1,2 @@\n+${line}\n ${first}\n`;

  writeFileSync(join(folder, "0001-say-hello.patch"), adding("// hello"));
  patchCrates(engine);
  expect(readFileSync(library, "utf8")).toBe(`// hello\n${original}`);
  expect(readFileSync(join(copy, "PATCHED"), "utf8")).toContain("0001-say-hello.patch");
  const made = statSync(library).ino;
  patchCrates(engine);
  expect(statSync(library).ino).toBe(made);

  writeFileSync(join(folder, "0001-say-hello.patch"), adding("// good day"));
  patchCrates(engine);
  expect(readFileSync(library, "utf8")).toBe(`// good day\n${original}`);

  writeFileSync(join(folder, "0002-no-longer-fits.patch"), adding("// hello").replace(first!, "other"));
  expect(() => patchCrates(engine)).toThrow("patch");
  expect(readFileSync(library, "utf8")).toBe(`// good day\n${original}`);
});

it("is refused when the registry's is another", () => {
  rmSync(copy, { recursive: true });
  rmSync(join(folder, "0002-no-longer-fits.patch"));
  writeFileSync(join(folder, "sha256"), "0".repeat(64));
  expect(() => patchCrates(engine)).toThrow("cargo");
});
