/**
 * Plays the part that systemd or a kubelet plays on a real host: starts processes, starts them again when they end,
 * each independently of the others, and remembers what happened.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { LabError } from "./errors.ts";

/** Long enough that the kernel has released what the process held, short against the second a restart may take. */
const RESTART_DELAY_MS = 75;
/** A process that keeps ending within this time is restarted more and more slowly, up to the maximum. */
const SHORT_LIFE_MS = 1_000;
const MAX_RESTART_DELAY_MS = 2_400;
/** Stopping in order takes these programs well under a second; the operator's PostgreSQL takes the longest. */
const DEFAULT_GRACE_MS = 8_000;

export interface ProcessSpec {
  /** Unique in the supervisor, by convention `<host>/<program>`. */
  readonly name: string;
  /** A command that becomes the program by exec, so that its process id is the program's. */
  readonly command: readonly string[];
  /** Asks it to end; absent: SIGTERM for the command's process. */
  readonly terminate?: (pid: number) => void;
  readonly env?: Readonly<Record<string, string>>;
  /** stdout and stderr are appended here. */
  readonly logFile: string;
}

export interface ProcessExit {
  readonly at: Date;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SupervisedProcess {
  readonly name: string;
  readonly logFile: string;
  /** Undefined while it is not running. */
  readonly pid: number | undefined;
  /** How often it was started again after it ended by itself or was killed. */
  readonly restarts: number;
  /** The last 100 ends. */
  readonly exits: readonly ProcessExit[];
}

export interface Supervisor {
  /** Starts a process and keeps it running. */
  add(spec: ProcessSpec): SupervisedProcess;
  get(name: string): SupervisedProcess;
  list(): SupervisedProcess[];
  /** Starts again what was stopped, or killed to stay down. */
  start(name: string): void;
  /** SIGTERM, and SIGKILL after the grace; stays down. Resolves when the process has ended. */
  stop(name: string, graceMs?: number): Promise<void>;
  /** kill -9. It is restarted, unless `stayDown`. Resolves when the process has ended. */
  killHard(name: string, options?: { readonly stayDown?: boolean }): Promise<void>;
  /** Stops everything, what was added last first. */
  stopAll(graceMs?: number): Promise<void>;
}

const MAX_EXITS = 100;

export function createSupervisor(): Supervisor {
  const entries = new Map<string, Entry>();
  const find = (name: string): Entry => {
    const entry = entries.get(name);
    if (entry === undefined) throw new LabError("UNKNOWN_PROCESS", `no process ${name} in this lab`);
    return entry;
  };
  return {
    add: (spec) => {
      if (entries.has(spec.name)) throw new LabError("ALREADY_RUNNING", `${spec.name} exists already`);
      const entry = new Entry(spec);
      entries.set(spec.name, entry);
      entry.start();
      return entry;
    },
    get: find,
    list: () => [...entries.values()],
    start: (name) => find(name).start(),
    stop: (name, graceMs = DEFAULT_GRACE_MS) => find(name).stop(graceMs),
    killHard: (name, options) => find(name).killHard(options?.stayDown ?? false),
    stopAll: async (graceMs = DEFAULT_GRACE_MS) => {
      const all = [...entries.values()].toReversed();
      for (const entry of all) entry.stayDown();
      for (const entry of all) await entry.stop(graceMs);
    },
  };
}

class Entry implements SupervisedProcess {
  readonly #spec: ProcessSpec;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wanted = false;
  #startedMs = 0;
  #shortLives = 0;
  restarts = 0;
  readonly exits: ProcessExit[] = [];

  constructor(spec: ProcessSpec) {
    this.#spec = spec;
  }

  get name(): string {
    return this.#spec.name;
  }

  get logFile(): string {
    return this.#spec.logFile;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (this.#child !== undefined) throw new LabError("ALREADY_RUNNING", `${this.name} is running`);
    this.#wanted = true;
    this.#launch();
  }

  stayDown(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  async stop(graceMs: number): Promise<void> {
    this.stayDown();
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, "exit");
    const { terminate } = this.#spec;
    if (terminate !== undefined && child.pid !== undefined) terminate(child.pid);
    else child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(timer);
  }

  async killHard(stayDown: boolean): Promise<void> {
    if (stayDown) this.stayDown();
    const child = this.#child;
    if (child === undefined) throw new LabError("UNKNOWN_PROCESS", `${this.name} is not running`);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  #launch(): void {
    clearTimeout(this.#timer);
    const [file, ...args] = this.#spec.command;
    const log = openSync(this.#spec.logFile, "a");
    const env = { PATH: process.env["PATH"], LANG: "C.UTF-8", RUST_BACKTRACE: "1", ...this.#spec.env };
    // A session of its own: Ctrl-C in the terminal is for the lab, which stops its processes in order.
    const child = spawn(file!, args, { stdio: ["ignore", log, log], env, detached: true });
    closeSync(log);
    this.#child = child;
    this.#startedMs = performance.now();
    child.once("error", (error) => this.#ended(null, null, error)); // it could not be started at all
    child.once("exit", (code, signal) => this.#ended(code, signal));
  }

  #ended(code: number | null, signal: NodeJS.Signals | null, error?: Error): void {
    this.#child = undefined;
    if (error !== undefined)
      throw new LabError("COMMAND_FAILED", `${this.name} cannot be started`, { cause: error });
    this.exits.push({ at: new Date(), code, signal });
    if (this.exits.length > MAX_EXITS) this.exits.shift();
    if (!this.#wanted) return;
    const short = performance.now() - this.#startedMs < SHORT_LIFE_MS;
    this.#shortLives = short ? this.#shortLives + 1 : 0;
    const delayMs = RESTART_DELAY_MS * 2 ** Math.max(0, this.#shortLives - 1);
    this.#timer = setTimeout(
      () => {
        this.restarts += 1;
        this.#launch();
      },
      Math.min(delayMs, MAX_RESTART_DELAY_MS),
    );
  }
}
