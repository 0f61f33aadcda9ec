/** A process that holds a ledger open and says so, for tests that kill an operator. Arguments: data folder. */
import { openLedger } from "../open-ledger.ts";
import { ORDINARY_USER, quiet, START, TRUST_DOMAIN } from "./test-postgres.ts";

const [, , dataDir = ""] = process.argv;
const ledger = await openLedger({
  database: { dataDir, runAs: ORDINARY_USER },
  trustDomain: TRUST_DOMAIN,
  clock: () => START,
  log: quiet,
});
await ledger.takeTerm({ holder: "killed", expected: 0 });
process.stdout.write(`${ledger.id}\n`);
setInterval(() => undefined, 1000);
