/** Every migration of the ledger, by name, in order. A released one is never edited: a change is a new one. */
import type { Migration } from "kysely/migration";
import * as ledger from "./0001-ledger.ts";
import * as attestation from "./0002-attestation.ts";
import * as heldAddresses from "./0003-held-addresses.ts";

export const migrations: Readonly<Record<string, Migration>> = {
  "0001-ledger": ledger,
  "0002-attestation": attestation,
  "0003-held-addresses": heldAddresses,
};
