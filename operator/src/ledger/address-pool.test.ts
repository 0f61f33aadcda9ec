/** Overlay addresses: the lowest free one, never a reserved one, for any order of joining and leaving. */
import fc from "fast-check";
import { cidrContains, parseCidr } from "@saf/protocol";
import { addressesAt, FIRST_ORDINAL, lastOrdinal } from "./address-pool.ts";
import type { Ledger } from "./ledger.ts";
import { joinInput, unnamed, tokenSpec } from "./testing/join-input.ts";
import { openTestLedger, startTestPostgres, type TestPostgres } from "./testing/test-postgres.ts";

const prefixV4 = fc.integer({ min: 8, max: 30 });
const prefixV6 = fc.integer({ min: 48, max: 126 });

describe("pools", () => {
  it("give addresses inside both prefixes, one for each ordinal, none of them reserved", () => {
    fc.assert(
      fc.property(prefixV4, prefixV6, fc.double({ min: 0, max: 1, noNaN: true }), (four, six, where) => {
        const pools = { ipv4: `10.0.0.0/${four}`, ipv6: `fd00::/${six}` };
        const last = lastOrdinal(pools);
        expect(last).toBeGreaterThanOrEqual(FIRST_ORDINAL);
        const ordinal = FIRST_ORDINAL + Math.floor(where * (last - FIRST_ORDINAL));
        const { ipv4, ipv6 } = addressesAt(pools, ordinal);
        expect(cidrContains(parseCidr(pools.ipv4), ipv4)).toBe(true);
        expect(cidrContains(parseCidr(pools.ipv6), ipv6)).toBe(true);
        expect(ipv4).not.toBe("10.0.0.0");
        expect(ipv4).not.toBe(broadcastOf(four));
        expect(ipv6).not.toBe("fd00::");
      }),
    );
  });

  it("of the smaller family bound the other", () => {
    expect(lastOrdinal({ ipv4: "10.0.0.0/8", ipv6: "fd00::/126" })).toBe(3);
    expect(lastOrdinal({ ipv4: "10.0.0.0/29", ipv6: "fd00::/64" })).toBe(6);
    expect(lastOrdinal({ ipv4: "10.0.0.0/31", ipv6: "fd00::/64" })).toBeLessThan(FIRST_ORDINAL);
  });
});

function broadcastOf(prefixLength: number): string {
  const last = (10 * 2 ** 24 + 2 ** (32 - prefixLength) - 1) >>> 0;
  return [24, 16, 8, 0].map((shift) => (last >>> shift) & 255).join(".");
}

describe("allocation", () => {
  let postgres: TestPostgres;
  let ledger: Ledger;
  let term: number;
  // Ordinals 2 to 6.
  const pools = { ipv4: "10.0.0.0/29", ipv6: "fd00::/64" };

  beforeAll(async () => {
    postgres = await startTestPostgres();
    ledger = await openTestLedger(await postgres.createDatabase());
    ({ term } = await ledger.takeTerm({ holder: "first", expected: 0 }));
    await ledger.putToken(term, tokenSpec());
  });
  afterAll(async () => {
    await ledger.close();
    await postgres.stop();
  });

  async function approve(): Promise<{ nodeId: string; ipv4: string } | "exhausted"> {
    const { requestId } = await ledger.admitJoin(term, joinInput());
    const decision = { requestId, decision: "Approved", actor: "alice", reason: "", pools } as const;
    try {
      const nodeId = (await ledger.decideJoin(term, decision)).nodeId ?? "";
      return { nodeId, ipv4: (await ledger.identity(nodeId))?.addresses.ipv4 ?? "" };
    } catch (error) {
      expect(error).toMatchObject({ code: "ADDRESS_POOL_EXHAUSTED" });
      return "exhausted";
    }
  }

  async function remove(nodeId: string): Promise<void> {
    await ledger.removeIdentity(term, { nodeId, actor: "alice", reason: "", ...unnamed });
    await ledger.releaseAddresses(term, 0);
  }

  it("behaves as the lowest free of a set, whatever the order", async () => {
    const step = fc.oneof(fc.constant("join" as const), fc.nat({ max: 4 }));
    const run = fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const members = new Map<number, string>();
      for (const next of steps) {
        if (next === "join") {
          const free = [2, 3, 4, 5, 6].find((ordinal) => !members.has(ordinal));
          const given = await approve();
          if (given === "exhausted") expect(free).toBeUndefined();
          else {
            expect(given.ipv4).toBe(`10.0.0.${free}`);
            members.set(free ?? 0, given.nodeId);
          }
        } else {
          const leaving = [...members][next];
          if (!leaving) continue;
          await remove(leaving[1]);
          members.delete(leaving[0]);
        }
      }
      for (const nodeId of members.values()) await remove(nodeId);
    });
    await fc.assert(run, { numRuns: 15 });
  });
});
