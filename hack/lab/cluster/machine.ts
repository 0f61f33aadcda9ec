/**
 * A host of a lab as a machine of its own (machine.sh): host name, processes, mounts and control groups apart from the
 * rest. What it keeps is in `<lab>/hosts/<name>/disk`; nothing that runs on it can change this machine's /etc, /usr/local,
 * /opt, /run or /var.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../demo/wait.ts";
import type { Lab } from "../lab.ts";
import { type CommandOutput, runCommand } from "../namespaces.ts";

const SCRIPT = join(import.meta.dirname, "machine.sh");
const BOOT_TIMEOUT_MS = 20_000;

export interface MachineOptions {
  /** Folders before those of PATH. */
  readonly path?: readonly string[];
}

export interface Machine {
  readonly name: string;
  readonly address: string;
  /** Its /etc, /opt, /usr/local, /var/lib and /var/log as this machine sees them; of the first three, what differs. */
  readonly disk: string;
  /** The words that become a program on it. */
  command(words: readonly string[]): string[];
  /** Runs a command on it to its end, as root; rejects with COMMAND_FAILED unless it ends with 0. */
  run(words: readonly string[], timeoutMs?: number): Promise<CommandOutput>;
  /** Keeps a program running on it, as `<name>/<program>` of the lab's supervisor. */
  add(program: string, words: readonly string[]): void;
  /** Ends all that runs on it at once, as a power cut does. */
  cutPower(): Promise<void>;
}

export async function bootMachine(lab: Lab, name: string, options: MachineOptions = {}): Promise<Machine> {
  const { namespace, directory, address } = lab.host(name);
  const disk = join(directory, "disk");
  const env = { PATH: [...(options.path ?? []), process.env["PATH"]].join(":") };
  const command = (words: readonly string[]): string[] => ["sh", SCRIPT, "run", directory, ...words];
  const supervise = (program: string, words: readonly string[], terminate?: (pid: number) => void): void =>
    void lab.supervisor.add({
      name: `${name}/${program}`,
      command: words,
      ...(terminate === undefined ? {} : { terminate }),
      env,
      logFile: join(lab.directory, "logs", `${name}.${program}.log`),
    });
  mkdirSync(disk, { recursive: true });
  supervise("machine", ["sh", SCRIPT, "boot", namespace, directory, namespace]);
  await until(`${name} has booted`, async () => existsSync(join(directory, "booted")) || undefined, {
    timeoutMs: BOOT_TIMEOUT_MS,
    everyMs: 10,
  });
  return {
    name,
    address,
    disk,
    command,
    run: (words, timeoutMs) =>
      runCommand(command(words), { env, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
    add: (program, words) => supervise(program, command(words), terminateEntered),
    cutPower: async () => {
      const own = lab.supervisor.list().filter((process) => process.name.startsWith(`${name}/`));
      // What runs on it first, and the machine last: no supervisor starts anything on a machine that is off.
      for (const process of own.toReversed()) await lab.supervisor.stop(process.name, 0);
    },
  };
}

/** Who enters a machine waits outside for the program within, and does not pass signals on. */
function terminateEntered(pid: number): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  for (const child of children.split(" ").filter(Boolean)) {
    try {
      process.kill(Number(child), "SIGTERM");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
