/**
 * A machine with a real systemd, made of namespaces: its own processes, network, mounts and cgroup, and an overlay over this
 * machine's disk, so that what is installed in it is gone with it.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { removeCgroup } from "../lab/cluster/cgroups.ts";
import { createScratchDirectory } from "../lab/scratch-directory.ts";

const run = promisify(execFile);
const BOOT_TIMEOUT_MS = 60_000;
/** A package of 50 MB is unpacked in this time on a busy machine. */
const COMMAND_TIMEOUT_MS = 120_000;

export interface SystemdMachine {
  /** A command in it, as root; resolves to its output. */
  exec(...command: string[]): Promise<string>;
  /** A file of this machine into it. */
  copy(file: string, target: string): Promise<void>;
  /** Everything in it that is not of this machine's disk, links and folders too. */
  written(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startSystemdMachine(): Promise<SystemdMachine> {
  const scratch = createScratchDirectory();
  const lab = join(scratch.path, "machine");
  mkdirSync(lab);
  const groups = makeCgroups(scratch.id);
  const script = join(import.meta.dirname, "machine.sh");
  const unshared = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc", "--cgroup"];
  const command = ["unshare", ...unshared, "--propagation", "private", "sh", script, lab];
  // The cgroup namespace begins where its maker is.
  const enter = groups.map((group) => `echo $$ > ${join(group, "cgroup.procs")} && `).join("");
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "sh", "-c", `${enter}exec "$0" "$@"`, ...command], {
    stdio: "ignore",
  });

  const stop = async (): Promise<void> => {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
    child.kill("SIGKILL");
    await ended;
    for (const group of groups) await removeCgroup(group);
    scratch.remove();
  };

  try {
    const pid = await firstProcess(child);
    const namespaces = ["-t", String(pid), "-m", "-p", "-n", "-u", "-i", "-C"];
    const enterRoot = ["nsenter", ...namespaces, "-r", "-w"];
    const exec = async (...words: string[]): Promise<string> => {
      const [program = "", ...args] = [...enterRoot, ...words];
      return (await run(program, args, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 << 20 })).stdout;
    };
    await booted(exec);
    return {
      exec,
      async copy(file, target) {
        const copier = [...enterRoot, "sh", "-c", 'cat > "$0"', target];
        const input = await open(file);
        try {
          const [program = "", ...args] = copier;
          const copying = spawn(program, args, { stdio: [input.fd, "ignore", "inherit"] });
          const [code] = (await once(copying, "exit")) as [number | null];
          if (code !== 0) throw new Error(`${file} was not copied`);
        } finally {
          await input.close();
        }
      },
      async written() {
        const find = ["find", join(lab, "upper"), "-mindepth", "1", "-printf", "%P\n"];
        const { stdout } = await run("nsenter", ["-t", String(pid), "-m", ...find], { maxBuffer: 16 << 20 });
        return stdout.trim().split("\n").sort();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The child of unshare, which is process 1 in there. */
async function firstProcess(child: ChildProcess): Promise<number> {
  const { pid = 0 } = child;
  const deadline = Date.now() + BOOT_TIMEOUT_MS;
  for (;;) {
    const children = readIfThere(`/proc/${pid}/task/${pid}/children`).trim();
    const first = Number(children.split(" ")[0]);
    if (first > 0 && readIfThere(`/proc/${first}/comm`).trim() === "systemd") return first;
    if (Date.now() > deadline || child.exitCode !== null) throw new Error("the machine did not boot");
    await delay(50);
  }
}

async function booted(exec: SystemdMachine["exec"]): Promise<void> {
  const deadline = Date.now() + BOOT_TIMEOUT_MS;
  for (;;) {
    const state = await exec("systemctl", "is-system-running").catch(
      (error: { stdout?: string }) => error.stdout ?? "",
    );
    if (["running", "degraded"].includes(state.trim())) return;
    if (Date.now() > deadline) throw new Error(`the machine is still ${state.trim() || "without an answer"}`);
    await delay(100);
  }
}

/** Its own group in cgroup v2, or in each hierarchy of v1. */
function makeCgroups(id: string): string[] {
  const top = "/sys/fs/cgroup";
  // A processor group of v1 has no real-time of its own to give, and nobody needs one.
  const hierarchies = existsSync(join(top, "cgroup.procs"))
    ? [top]
    : [...new Set(readdirSync(top).map((name) => realpathSync(join(top, name))))];
  const groups = hierarchies
    .filter((path) => existsSync(join(path, "cgroup.procs")) && !/\/cpu/.test(path))
    .map((path) => join(path, `saf-${id}`));
  for (const group of groups) mkdirSync(group);
  return groups;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
