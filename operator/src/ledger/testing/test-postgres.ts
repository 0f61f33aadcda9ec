/** A real PostgreSQL for a test file, with a fresh database for each test: as much isolation, a fortieth of the start-up. */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { pino, type Logger } from "pino";
import type { Ledger } from "../ledger.ts";
import { openLedger } from "../open-ledger.ts";
import { openEmbeddedPostgres, type PostgresUser } from "../postgres/embedded-postgres.ts";

export const TRUST_DOMAIN = "lab.example";
/** Tests run as root where they need namespaces; PostgreSQL then runs as this user (nobody). */
export const ORDINARY_USER: PostgresUser = { uid: 65534, gid: 65534 };
export const quiet: Logger = pino({ level: "silent" });

export interface TestPostgres {
  /** URL of a new, empty database. */
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
}

export async function startTestPostgres(): Promise<TestPostgres> {
  const dataDir = await makeDataDir();
  const server = await openEmbeddedPostgres({ dataDir, runAs: ORDINARY_USER, log: quiet });
  const { host = "", port = 0, user = "" } = server.connection;
  const execute = async (...statements: string[]): Promise<void> => {
    const client = new pg.Client(server.connection);
    await client.connect();
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  // Nobody pulls the plug on a test, and making databases is mostly waiting for the disk.
  await execute("alter system set fsync = off", "select pg_reload_conf()");
  const createDatabase = async (): Promise<string> => {
    const name = `test_${randomBytes(6).toString("hex")}`;
    await execute(`create database ${name}`);
    return `postgresql:///${name}?host=${encodeURIComponent(host)}&port=${port}&user=${user}`;
  };
  const stop = async (): Promise<void> => {
    await server.release("no one is left");
    await rm(dirname(dataDir), { recursive: true, force: true });
  };
  return { createDatabase, stop };
}

/** Short, because it holds a unix socket; PostgreSQL's user must be able to enter it. */
export async function makeDataDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "saf-pg-"));
  await chmod(dir, 0o711);
  return join(dir, "data");
}

export interface TestClock {
  now: number;
}

export function openTestLedger(url: string, clock: TestClock = { now: START }): Promise<Ledger> {
  return openLedger({ database: { url }, trustDomain: TRUST_DOMAIN, clock: () => clock.now, log: quiet });
}

/** Where a test's clock starts: now, because TLS looks at the real one. */
export const START: number = Math.floor(Date.now() / 1000);
