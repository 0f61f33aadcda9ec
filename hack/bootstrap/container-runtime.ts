/**
 * What a kubelet needs to run containers, out of three Debian packages:
 *
 *   <folder>/bin   containerd, containerd-shim-runc-v2, ctr, runc
 *   <folder>/cni   bridge, host-local, loopback, …
 *
 * What is installed on the machine is used (by links); otherwise the packages are fetched with apt-get and unpacked here.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, globSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Something that a person has to install; the message says how. */
export class MissingPrerequisite extends Error {}

const PACKAGES = ["containerd", "runc", "containernetworking-plugins"];
const PROGRAMS = ["containerd", "containerd-shim-runc-v2", "ctr", "runc"];
const PROGRAM_FOLDERS = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
const PLUGINS = ["bridge", "host-local", "loopback"];
const PLUGIN_FOLDERS = ["opt/cni/bin", "usr/lib/cni"];
const INSTALL = `apt-get update && apt-get install -y ${PACKAGES.join(" ")}`;

/** Names what is installed, or the packages that apt would fetch. */
export function containerRuntimeKey(): string {
  if (found("/") !== undefined) return `installed-${process.arch}`;
  const versions = PACKAGES.map((name) => `${name}_${candidate(name) ?? "none"}`).join("-");
  return `${versions.replaceAll(/[^\w.+~-]/g, "_")}-${process.arch}`;
}

/** Throws, with the command that installs it, when it is neither here nor to be had. */
export function unpackContainerRuntime(target: string): void {
  const installed = found("/");
  if (installed !== undefined) return linkAll(installed, target);
  console.log(`bootstrap: fetching the Debian packages ${PACKAGES.join(" ")} for the cluster lab`);
  try {
    if (PACKAGES.some((name) => candidate(name) === undefined)) run("apt-get", ["update", "-qq"]);
    unpack(target);
  } catch (cause) {
    throw missing(cause);
  }
  const unpacked = found(join(target, "root"));
  if (unpacked === undefined) throw missing(undefined);
  linkAll(unpacked, target);
}

interface Found {
  readonly programs: readonly string[];
  readonly plugins: readonly string[];
}

function found(root: string): Found | undefined {
  const programs = PROGRAMS.map((name) => firstOf(root, PROGRAM_FOLDERS, name));
  const folder = PLUGIN_FOLDERS.map((each) => join(root, each)).find((each) =>
    PLUGINS.every((name) => existsSync(join(each, name))),
  );
  if (folder === undefined || programs.includes(undefined)) return undefined;
  return {
    programs: programs as string[],
    plugins: globSync("*", { cwd: folder }).map((name) => join(folder, name)),
  };
}

function firstOf(root: string, folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => join(root, folder, name)).find((path) => existsSync(path));
}

/** Below `root` of the target, and only what a package brings: nothing of it runs at this point. */
function unpack(target: string): void {
  const archives = mkdtempSync(join(tmpdir(), "saf-packages-"));
  try {
    // Sandbox::User: apt would rather fetch as its own user, who cannot write here.
    run("apt-get", ["-qq", "-o", "APT::Sandbox::User=root", "download", ...PACKAGES], archives);
    for (const archive of globSync("*.deb", { cwd: archives }))
      run("dpkg-deb", ["--extract", join(archives, archive), join(target, "root")]);
  } finally {
    rmSync(archives, { recursive: true });
  }
}

/** Links that stay true when the target gets its name. */
function linkAll({ programs, plugins }: Found, target: string): void {
  for (const [folder, paths] of [
    ["bin", programs],
    ["cni", plugins],
  ] as const) {
    mkdirSync(join(target, folder));
    for (const path of paths)
      symlinkSync(path.replace(`${target}/`, "../"), join(target, folder, basename(path)));
  }
}

/** The version that apt would install; undefined where apt or the package is unknown. */
function candidate(name: string): string | undefined {
  try {
    const policy = execFileSync("apt-cache", ["policy", name], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return /Candidate: (\S*\d\S*)/.exec(policy)?.[1];
  } catch {
    return undefined;
  }
}

function missing(cause: unknown): MissingPrerequisite {
  return new MissingPrerequisite(`containerd is missing or unfit. Install it with: ${INSTALL}`, { cause });
}

function run(command: string, args: string[], cwd?: string): void {
  execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
}
