/**
 * A real PostgreSQL on the operator's data folder, for an operator with no database configured.
 *
 *   <dataDir>/pgdata    the cluster (made in a folder beside it and renamed, so a killed initdb leaves nothing half made)
 *   <dataDir>/run       its only listener, a unix socket that nobody but its user can reach: no TCP, no password
 *   <dataDir>/lib       links to its libraries
 *   <dataDir>/postgresql-<version>   only as root: its binaries, where the ordinary user can reach them
 *   <dataDir>/postgres.log   since its last start
 *
 * The server is not the operator's child in life and death: it outlives a killed operator, the next one attaches to it, and the
 * last one to leave stops it. Whoever finds it dead starts it again; PostgreSQL's own lock file lets one of several win.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import type { Logger } from "pino";
import { codeOf, messageOf } from "../database-failure.ts";
import { LedgerError } from "../errors.ts";
import { preparePostgresBinaries, type PostgresBinaries } from "./binaries.ts";

/** sun_path holds 108 bytes with its terminating zero (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;
const PORT = 5432;
const USER = "saf";
/** Crash recovery of a ledger takes seconds; then the caller is told and tries again. */
const START_TIMEOUT_MS = 30_000;
/** After a killed postmaster its last children hold the data for a moment, and a new one refuses to start. */
const MAX_START_ATTEMPTS = 20;
/** Starting takes a tenth of a second; looked at this often. */
const POLL_MS = 50;
/** Between two attempts to start: what a killed server's last children take to go. */
const RETRY_MS = 250;
/** For another user's connection to be seen gone when both leave at once. */
const LAST_OUT_MS = 1_000;
/** Four seconds on a slow disk; a full or dying one is given up on after two minutes. */
const INITDB_TIMEOUT_MS = 120_000;
/** A fast shutdown takes under a second; a checkpoint on a busy disk may take several. */
const STOP_TIMEOUT_SECONDS = 20;
/** A server on this host answers at once or is hung. */
const PROBE_TIMEOUT_MS = 2_000;

/** A control plane's ledger is small and has few users: little memory, few processes, no replication. */
const SETTINGS = [
  "listen_addresses=",
  "unix_socket_permissions=0700",
  "max_connections=40",
  "shared_buffers=32MB",
  "max_wal_size=128MB",
  "min_wal_size=32MB",
  "wal_level=minimal",
  "max_wal_senders=0",
  "max_logical_replication_workers=0",
  "max_parallel_workers=0",
  "io_method=sync",
  "jit=off",
  "log_min_messages=log",
  "log_checkpoints=off",
  "log_autovacuum_min_duration=-1",
];

export interface PostgresUser {
  readonly uid: number;
  readonly gid: number;
}

export interface EmbeddedPostgresInit {
  readonly dataDir: string;
  /** PostgreSQL refuses root; an operator that runs as root names the ordinary user it runs as instead. */
  readonly runAs?: PostgresUser | undefined;
  readonly log: Logger;
}

export interface EmbeddedPostgres {
  readonly connection: pg.ClientConfig;
  /** Returns when it answers. Throws POSTGRES_UNUSABLE, or LEDGER_UNAVAILABLE when recovery takes too long. */
  ensureRunning(): Promise<void>;
  /** Stops it, unless a connection named `<name>…` is still open. The caller's own pool must have ended. */
  release(name: string): Promise<void>;
}

interface Place {
  readonly pgdata: string;
  readonly run: string;
  readonly logFile: string;
  readonly binaries: PostgresBinaries;
  readonly runAs: PostgresUser | undefined;
}

export async function openEmbeddedPostgres(init: EmbeddedPostgresInit): Promise<EmbeddedPostgres> {
  const place = await preparePlace(init);
  const connection: pg.ClientConfig = { host: place.run, port: PORT, user: USER, database: "postgres" };
  let child: ChildProcess | undefined;
  let starting: Promise<void> | undefined;

  const start = async (): Promise<void> => {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let attempts = 0;
    for (;;) {
      const state = await probe(connection);
      if (state === "ready") return;
      if (Date.now() > deadline)
        throw new LedgerError("LEDGER_UNAVAILABLE", `PostgreSQL is not ready after ${START_TIMEOUT_MS} ms`);
      if (state === "absent" && !isRunning(child)) {
        if (attempts === MAX_START_ATTEMPTS) throw await cannotStart(place);
        if (attempts > 0) await delay(RETRY_MS);
        attempts += 1;
        child = await spawnPostgres(place);
        init.log.info({ pid: child.pid, dataDir: init.dataDir }, "embedded PostgreSQL started");
      }
      await delay(POLL_MS);
    }
  };

  const ensureRunning = (): Promise<void> => {
    starting ??= start().finally(() => {
      starting = undefined;
    });
    return starting;
  };

  const release = async (name: string): Promise<void> => {
    await starting?.catch(() => undefined);
    if (await isUsed(connection, name)) return;
    await stopPostgres(place);
    init.log.info({ dataDir: init.dataDir }, "embedded PostgreSQL stopped");
  };

  if ((await clusterVersion(place)) === undefined) await initialise(place);
  await requireSameVersion(place);
  // PostgreSQL refuses a folder that others may write, and that is what a volume's fsGroup makes of it on some mounts.
  await chmod(place.pgdata, 0o700);
  await ensureRunning();
  return { connection, ensureRunning, release };
}

async function preparePlace({ dataDir, runAs }: EmbeddedPostgresInit): Promise<Place> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot && !runAs)
    throw new LedgerError(
      "POSTGRES_UNUSABLE",
      "PostgreSQL refuses to run as root: start the operator as an ordinary user",
    );
  const run = join(dataDir, "run");
  if (Buffer.byteLength(join(run, `.s.PGSQL.${PORT}`)) > MAX_SOCKET_PATH_BYTES)
    throw new LedgerError("POSTGRES_UNUSABLE", `dataDir is too long a path for a unix socket (${dataDir})`);
  for (const dir of [dataDir, run]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await chmod(dir, 0o700);
    if (isRoot && runAs) await chown(dir, runAs.uid, runAs.gid);
  }
  return {
    pgdata: join(dataDir, "pgdata"),
    run,
    logFile: join(dataDir, "postgres.log"),
    binaries: await preparePostgresBinaries({
      linksDir: join(dataDir, "lib"),
      copyDir: isRoot ? join(dataDir, "postgresql") : undefined,
    }),
    runAs: isRoot ? runAs : undefined,
  };
}

/** initdb into a folder of its own, then one rename: two operators at once make one cluster. */
async function initialise(place: Place): Promise<void> {
  const prefix = "pgdata.new-";
  const parent = join(place.pgdata, "..");
  for (const name of await readdir(parent)) {
    const maker = Number(name.startsWith(prefix) ? name.slice(prefix.length).split("-")[0] : "");
    if (maker > 0 && !isAlive(maker)) await rm(join(parent, name), { recursive: true, force: true });
  }
  const fresh = join(parent, `${prefix}${process.pid}-${randomBytes(4).toString("hex")}`);
  const options = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"];
  await runTool(place, place.binaries.initdb, ["-D", fresh, ...options], INITDB_TIMEOUT_MS);
  try {
    await rename(fresh, place.pgdata);
    await syncDirectory(parent);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if ((await clusterVersion(place)) === undefined) throw error;
  }
}

/** Undefined before the cluster is made. */
async function clusterVersion({ pgdata }: Place): Promise<string | undefined> {
  const text = await readFile(join(pgdata, "PG_VERSION"), "utf8").catch(() => undefined);
  return text?.trim();
}

async function requireSameVersion(place: Place): Promise<void> {
  const version = await clusterVersion(place);
  if (version !== place.binaries.major)
    throw new LedgerError(
      "POSTGRES_UNUSABLE",
      `${place.pgdata} is of PostgreSQL ${version}, this operator brings ${place.binaries.major}: upgrade it with pg_upgrade`,
    );
}

async function spawnPostgres(place: Place): Promise<ChildProcess> {
  const log = await open(place.logFile, "w", 0o600);
  const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
  try {
    const child = spawn(place.binaries.postgres, ["-D", place.pgdata, "-k", place.run, ...settings], {
      ...processOptions(place),
      // A session of its own: a Ctrl-C meant for the operator must not take the ledger away while it still writes.
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
    });
    child.on("error", () => undefined);
    child.unref();
    return child;
  } finally {
    await log.close();
  }
}

async function stopPostgres(place: Place): Promise<void> {
  const stop = (mode: string): Promise<void> =>
    runTool(
      place,
      place.binaries.pgCtl,
      ["stop", "-D", place.pgdata, "-m", mode, "-w", "-t", String(STOP_TIMEOUT_SECONDS)],
      (STOP_TIMEOUT_SECONDS + 5) * 1000,
    );
  try {
    await stop("fast");
  } catch (error) {
    if (!(await exists(join(place.pgdata, "postmaster.pid")))) return;
    await stop("immediate").catch(() => {
      throw error;
    });
  }
}

type State = "ready" | "busy" | "absent";

async function probe(connection: pg.ClientConfig): Promise<State> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: PROBE_TIMEOUT_MS });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return "ready";
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ECONNREFUSED") return "absent";
    // 53300: too many connections, so it runs.
    return code === "53300" ? "ready" : "busy";
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function isUsed(connection: pg.ClientConfig, name: string): Promise<boolean> {
  const client = new pg.Client({
    ...connection,
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
  });
  client.on("error", () => undefined);
  const question = "select count(*)::int as users from pg_stat_activity where application_name like $1";
  try {
    await client.connect();
    const deadline = Date.now() + LAST_OUT_MS;
    for (;;) {
      const { rows } = await client.query<{ users: number }>(question, [`${name}%`]);
      if (rows[0]?.users === 0) return false;
      if (Date.now() > deadline) return true;
      await delay(POLL_MS);
    }
  } catch {
    // It does not answer: nobody can be using it.
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function cannotStart(place: Place): Promise<LedgerError> {
  const text = await readFile(place.logFile, "utf8").catch(() => "");
  return new LedgerError("POSTGRES_UNUSABLE", `PostgreSQL does not start: ${text.trim().slice(-500)}`);
}

async function runTool(place: Place, file: string, args: string[], timeoutMs: number): Promise<void> {
  try {
    await promisify(execFile)(file, args, { ...processOptions(place), timeout: timeoutMs });
  } catch (error) {
    // Node's message has the command and what it wrote to stderr.
    throw new LedgerError("POSTGRES_UNUSABLE", messageOf(error).trim().slice(-500), { cause: error });
  }
}

/** Nothing of the operator's environment reaches the server. `/` because the user may not be let into the current folder. */
function processOptions({ binaries, runAs }: Place): {
  cwd: string;
  env: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
} {
  const env = { LD_LIBRARY_PATH: binaries.libraryPath, PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
  return { cwd: "/", env, ...runAs };
}

function isRunning(child: ChildProcess | undefined): boolean {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
