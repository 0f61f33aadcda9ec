/**
 * Makes `engine/patched/<crate>`: the crates of engine/patches as the registry has them, with our patches applied.
 *
 * engine/Cargo.toml names the copies, so cargo can't work before they are there. When they are, and of these patches, this
 * takes a millisecond. Work trees share cargo's build folder, where one's copy looks like another's; so a copy's description
 * names its content, and cargo compiles it anew when that differs.
 *
 *   node hack/bootstrap/patched-crates.ts
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { repositoryRoot } from "./artifacts.ts";
import { contentHash } from "./build-cache.ts";

interface PatchedCrate {
  readonly name: string;
  readonly version: string;
  /** Of the registry's archive. */
  readonly sha256: string;
  /** Paths, in the order in which they are applied. */
  readonly patches: readonly string[];
}

/** In a copy: what it was made of. */
const STAMP = "PATCHED";

export function patchCrates(engine: string = join(repositoryRoot, "engine")): void {
  for (const folder of globSync("patches/*/", { cwd: engine })) {
    const crate = crateOf(join(engine, folder));
    const stamp = stampOf(crate);
    const target = join(engine, "patched", crate.name);
    const found = join(target, STAMP);
    if (!existsSync(found) || readFileSync(found, "utf8") !== stamp) makeCopy(crate, stamp, target, engine);
  }
}

/** `noq-proto-1.4.0/` with its patches. */
function crateOf(folder: string): PatchedCrate {
  const [, name, version] = /^(.+)-(\d+\.\d+\.\d+\S*)$/.exec(basename(folder)) ?? [];
  if (name === undefined || version === undefined) throw new Error(`${folder} is not named crate-version`);
  return {
    name,
    version,
    sha256: readFileSync(join(folder, "sha256"), "utf8").trim(),
    patches: globSync("*.patch", { cwd: folder })
      .toSorted()
      .map((file) => join(folder, file)),
  };
}

function stampOf({ name, version, sha256, patches }: PatchedCrate): string {
  const hash =
    patches.length === 0 ? "" : contentHash(dirname(patches[0]!), patches, [name, version, sha256]);
  const names = patches.map((path) => `  ${basename(path)}\n`).join("");
  return `${name} ${version} of crates.io, changed by the patches of the Secure Access Fabric:\n${names}${hash}\n`;
}

/** In a folder beside its place until it is whole. */
function makeCopy(crate: PatchedCrate, stamp: string, target: string, engine: string): void {
  mkdirSync(dirname(target), { recursive: true });
  const copy = mkdtempSync(join(dirname(target), `.${crate.name}-`));
  try {
    cpSync(fetchedSource(crate, engine), copy, { recursive: true });
    rmSync(join(copy, ".cargo-ok"), { force: true });
    for (const patch of crate.patches) {
      const options = ["-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--quiet"];
      execFileSync("patch", [...options, "-i", patch], {
        cwd: copy,
        stdio: ["ignore", "inherit", "inherit"],
      });
    }
    describe(join(copy, "Cargo.toml"), stamp);
    writeFileSync(join(copy, STAMP), stamp);
    rmSync(target, { recursive: true, force: true });
    renameSync(copy, target);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function describe(manifest: string, stamp: string): void {
  const text = readFileSync(manifest, "utf8");
  const described = text.replace(/^description = .*$/m, () => `description = ${JSON.stringify(stamp)}`);
  if (described === text) throw new Error(`${manifest} has no description of one line`);
  writeFileSync(manifest, described);
}

/** Where cargo unpacked the crate, after fetching it if need be: it holds the archive to the checksum in the lock file. */
function fetchedSource({ name, version, sha256 }: PatchedCrate, engine: string): string {
  const scratch = mkdtempSync(join(tmpdir(), "saf-crate-"));
  try {
    const manifest = join(scratch, "Cargo.toml");
    writeFileSync(
      manifest,
      `[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n[dependencies]\n` +
        `${name} = { version = "=${version}", default-features = false }\n`,
    );
    writeFileSync(join(scratch, "lib.rs"), "");
    // With the engine's lock file nothing is fetched that the engine doesn't need.
    writeFileSync(join(scratch, "Cargo.lock"), registryLock(engine, name, version, sha256));
    const metadata = execFileSync("cargo", ["metadata", "--format-version=1", "--manifest-path", manifest], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      maxBuffer: 64 * 1024 * 1024,
    });
    const { packages } = JSON.parse(metadata) as {
      packages: { name: string; version: string; manifest_path: string }[];
    };
    const found = packages.find((each) => each.name === name && each.version === version);
    if (found === undefined) throw new Error(`cargo did not find ${name} ${version}`);
    return dirname(found.manifest_path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The engine's lock file has the copy, which has no checksum; here it is the registry's again. */
function registryLock(engine: string, name: string, version: string, sha256: string): string {
  const entry = `name = "${name}"\nversion = "${version}"\n`;
  const lock = readFileSync(join(engine, "Cargo.lock"), "utf8");
  if (!lock.includes(entry)) throw new Error(`engine/Cargo.lock has no ${name} ${version}`);
  const source = 'source = "registry+https://github.com/rust-lang/crates.io-index"';
  return lock.replace(entry, `${entry}${source}\nchecksum = "${sha256}"\n`);
}

if (process.argv[1] === import.meta.filename) patchCrates();
