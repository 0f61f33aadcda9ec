/** Opens the ledger on a given PostgreSQL, or on an embedded one in the data folder. See ledger.ts for what it promises. */
import { randomBytes } from "node:crypto";
import { CLOCK_SKEW_SECONDS } from "@saf/protocol";
import { CamelCasePlugin, Kysely, PostgresDialect } from "kysely";
import type { Logger } from "pino";
import { certificateExpiries, latestCertificate, recordCertificate } from "./certificates.ts";
import { createConnectionPool } from "./connection-pool.ts";
import { asLedgerError } from "./database-failure.ts";
import {
  findIdentity,
  listEndedIdentities,
  listIdentities,
  releaseAddresses,
  removeIdentity,
  revokeIdentity,
} from "./identities.ts";
import { admitJoin, decideJoin, findJoinRequest, listJoinRequests } from "./joins.ts";
import type { AuditRecord, Ledger } from "./ledger.ts";
import { claimLedger, migrate } from "./migrate.ts";
import { useNonce } from "./nonces.ts";
import {
  openEmbeddedPostgres,
  type EmbeddedPostgres,
  type PostgresUser,
} from "./postgres/embedded-postgres.ts";
import type { Database, Schema } from "./schema.ts";
import { requireTerm, writeAudit, type DecidingSession, type Session } from "./session.ts";
import { advanceEpoch, readTerm, takeTerm } from "./terms.ts";
import { findToken, listTokens, putToken, removeToken } from "./tokens.ts";

const APPLICATION_NAME = "saf-ledger";
/** Rows of one answer: a screen or an export in pages, never the whole table. */
const MAX_AUDIT_PAGE = 1000;

export interface LedgerInit {
  /** Where the ledger is: a PostgreSQL of its own, or a folder for an embedded one. */
  readonly database:
    | { readonly url: string }
    | { readonly dataDir: string; /** Only as root. */ readonly runAs?: PostgresUser | undefined };
  readonly trustDomain: string;
  /** Unix seconds. */
  readonly clock: () => number;
  readonly log: Logger;
}

/** Throws LedgerError LEDGER_UNAVAILABLE, POSTGRES_UNUSABLE, FOREIGN_LEDGER, SCHEMA_NEWER. */
export async function openLedger({ database, trustDomain, clock, log }: LedgerInit): Promise<Ledger> {
  const server = "url" in database ? undefined : await openEmbeddedPostgres({ ...database, log });
  const connection = "url" in database ? { connectionString: database.url } : (server?.connection ?? {});
  const revive = createReviver(server, log);
  const pool = createConnectionPool({
    connection,
    applicationName: `${APPLICATION_NAME}/${randomBytes(4).toString("hex")}`,
    onLost: revive.now,
  });
  const db: Database = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  });
  const close = async (): Promise<void> => {
    revive.stop();
    await db.destroy();
    await server?.release(APPLICATION_NAME);
  };

  /** One transaction; a failure of the database becomes a coded one, and a dead embedded server is started again. */
  const run = async <T>(work: (session: Session) => Promise<T>): Promise<T> => {
    try {
      return await db.transaction().execute((tx) => work({ db: tx, now: clock() }));
    } catch (error) {
      const failure = asLedgerError(error);
      if (failure.code === "LEDGER_UNAVAILABLE") revive.now();
      throw failure;
    }
  };
  const decide = <T>(term: number, work: (session: DecidingSession) => Promise<T>): Promise<T> =>
    run(async (session) => work({ ...session, authority: await requireTerm(session.db, term) }));

  try {
    await migrate(db);
    const id = await run((session) => claimLedger(session.db, trustDomain, session.now));
    return { id, trustDomain, close, ...createMethods(run, decide) };
  } catch (error) {
    await close();
    throw error;
  }
}

type Run = <T>(work: (session: Session) => Promise<T>) => Promise<T>;
type Decide = <T>(term: number, work: (session: DecidingSession) => Promise<T>) => Promise<T>;

function createMethods(run: Run, decide: Decide): Omit<Ledger, "id" | "trustDomain" | "close"> {
  return {
    currentTerm: () => run(({ db }) => readTerm(db)),
    takeTerm: (input) => run((session) => takeTerm(session, input)),
    assertTerm: (term) => decide(term, ({ authority }) => Promise.resolve(authority)),
    advanceEpoch: (term) => run((session) => advanceEpoch(session, term)),

    putToken: (term, token) => decide(term, (session) => putToken(session, token)),
    removeToken: (term, name) => decide(term, (session) => removeToken(session, name)),
    token: (name) => run(({ db }) => findToken(db, name)),
    listTokens: () => run(({ db }) => listTokens(db)),

    admitJoin: (term, input) => decide(term, (session) => admitJoin(session, input)),
    joinRequest: (requestId) => run(({ db }) => findJoinRequest(db, requestId)),
    listJoinRequests: (filter) => run(({ db }) => listJoinRequests(db, filter?.decision)),
    decideJoin: (term, decision) => decide(term, (session) => decideJoin(session, decision)),
    useNonce: (fingerprint, nonce) => run((session) => useNonce(session, fingerprint, nonce)),

    identities: () => run(({ db }) => listIdentities(db)),
    endedIdentities: () => run(({ db, now }) => listEndedIdentities(db, now - CLOCK_SKEW_SECONDS)),
    identity: (nodeId) => run(({ db }) => findIdentity(db, nodeId)),
    revokeIdentity: (term, input) => decide(term, (session) => revokeIdentity(session, input)),
    removeIdentity: (term, input) => decide(term, (session) => removeIdentity(session, input)),

    releaseAddresses: (term, confirmedEpoch) =>
      decide(term, (session) => releaseAddresses(session, confirmedEpoch)),

    recordCertificate: (term, certificate) =>
      decide(term, (session) => recordCertificate(session, certificate)),
    latestCertificate: (nodeId) => run(({ db }) => latestCertificate(db, nodeId)),
    certificateExpiries: (term) => decide(term, certificateExpiries),

    audit: (term, entry) => decide(term, (session) => writeAudit(session, term, entry)),
    listAudit: (limit) => run(({ db }) => listAudit(db, limit)),
  };
}

async function listAudit(db: Database, limit: number): Promise<AuditRecord[]> {
  return db
    .selectFrom("audit")
    .selectAll()
    .orderBy("id", "desc")
    .limit(Math.max(0, Math.min(limit, MAX_AUDIT_PAGE)))
    .execute();
}

/** Starts a dead embedded server again, one attempt at a time. Whoever needs the ledger next asks again. */
function createReviver(
  server: EmbeddedPostgres | undefined,
  log: Logger,
): { now: () => void; stop: () => void } {
  let stopped = false;
  const now = (): void => {
    if (stopped || !server) return;
    server.ensureRunning().catch((error: unknown) => {
      log.error({ err: error }, "embedded PostgreSQL cannot be started again");
    });
  };
  const stop = (): void => {
    stopped = true;
  };
  return { now, stop };
}
