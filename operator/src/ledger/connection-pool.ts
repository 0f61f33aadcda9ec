/**
 * A bounded pool in front of PostgreSQL where every wait ends. A connection whose query was not answered in time is never
 * used again: the answer would come to the wrong question.
 */
import type { PostgresPool, PostgresPoolClient } from "kysely";
import pg from "pg";
import { isUnanswered } from "./database-failure.ts";

/** The ledger is a control plane: eight transactions at a time are hundreds of decisions a second. */
const MAX_CONNECTIONS = 8;
/** For a free connection or a new one: longer than a burst of a hundred joins takes on a busy small machine. */
const CONNECT_TIMEOUT_MS = 5_000;
/** The slowest statement takes milliseconds; more than this is a database in trouble. */
const STATEMENT_TIMEOUT_MS = 2_500;
/** Rows are locked for milliseconds; below the statement's timeout, so that the error says what it was. */
const LOCK_TIMEOUT_MS = 2_000;
/** Above the server's own timeout: reached only when the server does not answer at all. */
const ANSWER_TIMEOUT_MS = 3_000;
/** A transaction whose client went silent must not hold its locks. */
const IDLE_TRANSACTION_TIMEOUT_MS = 5_000;

export interface ConnectionPoolInit {
  readonly connection: pg.ClientConfig;
  readonly applicationName: string;
  /** An idle connection was lost: the server may be gone. */
  readonly onLost: (error: Error) => void;
}

export function createConnectionPool({
  connection,
  applicationName,
  onLost,
}: ConnectionPoolInit): PostgresPool {
  const pool = new pg.Pool({
    ...connection,
    application_name: applicationName,
    max: MAX_CONNECTIONS,
    // One connection stays: its loss is how a dead server is noticed at once.
    min: 1,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    types: numericInt8(),
  });
  pool.on("error", onLost);
  // Between two queries of a transaction nobody listens; the next query reports the loss.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return {
    options: pool.options,
    connect: async () => guarded(await pool.connect()),
    end: () => endWithin(pool, CONNECT_TIMEOUT_MS),
  };
}

/** Terms, epochs and times stay far below 2^53. */
function numericInt8(): pg.TypeOverrides {
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);
  return types;
}

function guarded(client: pg.PoolClient): PostgresPoolClient {
  let unanswered: unknown;
  const query = async (sql: string, parameters: readonly unknown[]): Promise<unknown> => {
    if (unanswered !== undefined) throw unanswered;
    try {
      return await client.query(sql, [...parameters]);
    } catch (error) {
      if (isUnanswered(error)) unanswered = error;
      throw error;
    }
  };
  const release = (destroy?: boolean): void => client.release(destroy === true || unanswered !== undefined);
  return { query, release } as PostgresPoolClient;
}

/** A server that does not answer does not say goodbye either. */
async function endWithin(pool: pg.Pool, timeoutMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([pool.end(), promise]);
  clearTimeout(timer);
}
