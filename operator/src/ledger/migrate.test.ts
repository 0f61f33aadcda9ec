/** The schema over time, and what a database does that is not as the ledger left it. */
import pg from "pg";
import { joinInput, tokenSpec } from "./testing/join-input.ts";
import { openTestLedger, startTestPostgres, type TestPostgres } from "./testing/test-postgres.ts";

let postgres: TestPostgres;
let url: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  url = await postgres.createDatabase();
});

async function execute(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}

it("a ledger that a newer operator has written is refused", async () => {
  await (await openTestLedger(url)).close();
  await execute("insert into kysely_migration (name, timestamp) values ('9999-from-the-future', 'now')");
  await expect(openTestLedger(url)).rejects.toMatchObject({ code: "SCHEMA_NEWER" });
});

it("what cannot be audited is not decided", async () => {
  const ledger = await openTestLedger(url);
  const { term } = await ledger.takeTerm({ holder: "first", expected: 0 });
  await ledger.putToken(term, tokenSpec());
  await execute("alter table audit rename to elsewhere");
  await expect(ledger.admitJoin(term, joinInput())).rejects.toMatchObject({ code: "LEDGER_FAILED" });
  await expect(ledger.takeTerm({ holder: "second", expected: term })).rejects.toMatchObject({
    code: "LEDGER_FAILED",
  });
  await execute("alter table elsewhere rename to audit");
  expect(await ledger.listJoinRequests()).toEqual([]);
  expect((await ledger.token("lab"))?.uses).toBe(0);
  expect((await ledger.currentTerm()).term).toBe(term);
  await ledger.close();
});
