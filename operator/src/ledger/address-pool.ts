/**
 * Overlay addresses: one ordinal is the n-th address of both pools, so a node's two addresses are read off each other.
 * Ordinal 0 (the network's own address, RFC 4632; subnet-router anycast, RFC 4291 §2.6.1) and 1 (kept for the fabric itself)
 * are never given, nor is the last IPv4 address (broadcast, RFC 919).
 */
import { hostCount, nthAddress, parseCidr } from "@saf/protocol";
import { sql } from "kysely";
import { LedgerError } from "./errors.ts";
import type { AddressPools, Identity } from "./ledger.ts";
import type { Database } from "./schema.ts";

export const FIRST_ORDINAL = 2;
/** Far more nodes than a fabric holds; keeps ordinals in an SQL integer. */
const MAX_ORDINAL = 2 ** 31 - 2;

/** The highest ordinal that both pools have; below FIRST_ORDINAL when they have none to give. */
export function lastOrdinal(pools: AddressPools): number {
  const ipv4 = hostCount(parseCidr(pools.ipv4)) - 2n;
  const ipv6 = hostCount(parseCidr(pools.ipv6)) - 1n;
  const last = ipv4 < ipv6 ? ipv4 : ipv6;
  return last < BigInt(MAX_ORDINAL) ? Number(last) : MAX_ORDINAL;
}

export function addressesAt(pools: AddressPools, ordinal: number): Identity["addresses"] {
  const at = (pool: string): string => nthAddress(parseCidr(pool), BigInt(ordinal));
  return { ipv4: at(pools.ipv4), ipv6: at(pools.ipv6) };
}

/** One allocation or release at a time; readers are not held up. */
export async function lockAddresses(db: Database): Promise<void> {
  await sql`lock table addresses in share row exclusive mode`.execute(db);
}

/** Needs lockAddresses in the same transaction. Throws ADDRESS_POOL_EXHAUSTED. */
export async function lowestFreeOrdinal(db: Database, pools: AddressPools): Promise<number> {
  const { rows } = await sql<{ ordinal: number }>`
    select min(candidate) as ordinal
    from (select ${FIRST_ORDINAL}::int as candidate union all select ordinal + 1 from addresses) as candidates
    where not exists (select 1 from addresses where ordinal = candidate)`.execute(db);
  const ordinal = rows[0]?.ordinal;
  if (ordinal === undefined || ordinal > lastOrdinal(pools))
    throw new LedgerError(
      "ADDRESS_POOL_EXHAUSTED",
      `no free address is left in ${pools.ipv4} and ${pools.ipv6}`,
    );
  return ordinal;
}
