import fc from "fast-check";
import { addressToNumber, cidrContains, nthAddress, parseCidr } from "@saf/protocol";
import { RCODE, TYPE, writeName, type Answer } from "./message.ts";
import { createZone, type Host, type ZoneInit } from "./zone.ts";

const usa: Host = { name: "usa-1", addresses: { ipv4: "100.96.0.6", ipv6: "fd5a::6" } };
const own: Host = { name: "home-a", addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" } };
const init: ZoneInit = {
  origin: "home.fabric.internal",
  server: "home-a",
  serial: 7,
  pools: ["100.96.0.0/16", "fd5a::/64"],
  hosts: [own, usa],
};
const ORIGIN = init.origin;
const zone = createZone(init);
const ask = (name: string, type: number, of = zone): Answer | null => of.answer({ name, type });
const types = (answer: Answer | null) => answer?.answers.map((record) => record.type);
const data = (answer: Answer | null) =>
  answer?.answers.map((record) => Buffer.from(record.data).toString("hex"));

it("gives a node's addresses", () => {
  expect(data(ask("usa-1.home.fabric.internal", TYPE.A))).toEqual(["64600006"]);
  expect(data(ask("usa-1.home.fabric.internal", TYPE.AAAA))).toEqual([`fd5a${"0".repeat(27)}6`]);
  expect(types(ask("usa-1.home.fabric.internal", TYPE.ANY))).toEqual([TYPE.A, TYPE.AAAA]);
});

it("gives a name's other types as nothing, and an unknown name as none, with how long to believe it", () => {
  const none = ask("usa-1.home.fabric.internal", 16);
  expect(none).toMatchObject({
    rcode: RCODE.NOERROR,
    answers: [],
    authority: [{ name: init.origin, type: TYPE.SOA }],
  });
  for (const name of ["usa-2.home.fabric.internal", "x.usa-1.home.fabric.internal"])
    expect(ask(name, TYPE.A)).toMatchObject({
      rcode: RCODE.NXDOMAIN,
      answers: [],
      authority: [{ type: TYPE.SOA }],
    });
  expect(
    Buffer.from(none?.authority[0]?.data ?? []).readUInt32BE((none?.authority[0]?.data.length ?? 0) - 4),
  ).toBe(30);
});

it("says at its top who serves it", () => {
  expect(types(ask(init.origin, TYPE.SOA))).toEqual([TYPE.SOA]);
  expect(data(ask(init.origin, TYPE.NS))).toEqual([
    Buffer.from(writeName("home-a.home.fabric.internal")).toString("hex"),
  ]);
  expect(ask(init.origin, TYPE.A)).toMatchObject({ rcode: RCODE.NOERROR, answers: [] });
});

it("finds names by addresses, of its pools only", () => {
  const named = [Buffer.from(writeName("usa-1.home.fabric.internal")).toString("hex")];
  expect(data(ask("6.0.96.100.in-addr.arpa", TYPE.PTR))).toEqual(named);
  expect(data(ask(`6.${"0.".repeat(27)}a.5.d.f.ip6.arpa`, TYPE.PTR))).toEqual(named);
  expect(ask(`6.${"0.".repeat(26)}a.5.d.f.ip6.arpa`, TYPE.PTR)).toBeNull();
  expect(ask("9.0.96.100.in-addr.arpa", TYPE.PTR)).toMatchObject({
    rcode: RCODE.NXDOMAIN,
    authority: [{ name: "96.100.in-addr.arpa" }],
  });
  expect(ask("6.0.97.100.in-addr.arpa", TYPE.PTR)).toBeNull();
});

it.each([
  "fabric.internal",
  "other.fabric.internal",
  "xhome.fabric.internal",
  "example.org",
  "",
  "96.100.in-addr.arpa",
  "06.0.96.100.in-addr.arpa",
  "256.0.96.100.in-addr.arpa",
  "6.0.96.100.ip6.arpa",
  String.raw`usa-1\.home.fabric.internal.example`,
])("leaves %j to others", (name) => {
  expect(ask(name, TYPE.A)).toBeNull();
});

it("has an answer or none for whatever may be asked", () => {
  const digits = fc.array(fc.constantFrom("0", "1", "255", "256", "f", "g", "", "in-addr", "ip6", "arpa"), {
    maxLength: 40,
  });
  const name = fc.oneof(
    fc.string(),
    digits.map((labels) => `${labels.join(".")}.arpa`),
    fc.string().map((text) => `${text}.${ORIGIN}`),
  );
  fc.assert(
    fc.property(name, fc.nat(0xffff), (asked, type) => {
      const answer = ask(asked, type);
      if (asked.endsWith(`.${ORIGIN}`)) expect(answer).not.toBeNull();
    }),
  );
});

it("knows the addresses of its hosts, however they are written, and nobody else's", () => {
  for (const address of ["100.96.0.6", "fd5a::6", "fd5a:0:0::0006"]) expect(zone.knows(address)).toBe(true);
  for (const address of ["100.96.0.7", "127.0.0.1", "fd5a::6%eth0", "usa-1", ""])
    expect(zone.knows(address)).toBe(false);
});

it("holds what several hosts of one name have", () => {
  const both = createZone({ ...init, hosts: [own, { ...usa, name: "db" }, { ...own, name: "db" }] });
  expect(data(ask("db.home.fabric.internal", TYPE.A, both))).toEqual(["64600006", "64600005"]);
});

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/);
const prefix = fc.oneof(
  fc.record({
    length: fc.integer({ min: 8, max: 30 }),
    host: fc.bigInt(0n, 2n ** 32n - 1n),
    family: fc.constant(4 as const),
  }),
  fc.record({
    length: fc.integer({ min: 16, max: 120 }),
    host: fc.bigInt(0n, 2n ** 128n - 1n),
    family: fc.constant(6 as const),
  }),
);
const backwardOf = (address: string, family: 4 | 6): string => {
  if (family === 4) return `${address.split(".").toReversed().join(".")}.in-addr.arpa`;
  const digits = addressToNumber(address).toString(16).padStart(32, "0");
  return `${digits.split("").toReversed().join(".")}.ip6.arpa`;
};

it("claims the backward names of its pools, all of them and no other", () => {
  fc.assert(
    fc.property(prefix, fc.bigInt(0n, 2n ** 128n - 1n), ({ length, host, family }, any) => {
      const bits = family === 4 ? 32n : 128n;
      const size = 1n << (bits - BigInt(length));
      const base = (host / size) * size;
      const whole = { family, base: 0n, prefixLength: 0 };
      const pool = `${nthAddress(whole, base)}/${length}`;
      const narrow = createZone({ ...init, pools: [pool] });
      expect(narrow.reverse.length).toBeLessThanOrEqual(128);
      const address = nthAddress(whole, any % (1n << bits));
      const inside = nthAddress(whole, base + (any % size));
      for (const one of [address, inside]) {
        const name = backwardOf(one, family);
        const ours = cidrContains(parseCidr(pool), one);
        expect(narrow.reverse.some((zoneName) => name === zoneName || name.endsWith(`.${zoneName}`))).toBe(
          ours,
        );
        expect(narrow.answer({ name, type: TYPE.PTR }) !== null).toBe(ours);
      }
    }),
  );
});

it("resolves its hosts and nobody else", () => {
  const hosts = fc.uniqueArray(fc.tuple(label, fc.integer({ min: 1, max: 250 })), {
    selector: ([, n]) => n,
    maxLength: 20,
  });
  fc.assert(
    fc.property(hosts, label, (list, other) => {
      const made = createZone({
        ...init,
        hosts: list.map(([name, n]) => ({
          name,
          addresses: { ipv4: `100.96.1.${n}`, ipv6: `fd5a::1:${n}` },
        })),
      });
      for (const [name] of list)
        expect(ask(`${name}.${init.origin}`, TYPE.A, made)?.answers).toHaveLength(
          list.filter(([same]) => same === name).length,
        );
      const known = list.some(([name]) => name === other);
      expect(ask(`${other}.${init.origin}`, TYPE.A, made)?.rcode).toBe(
        known ? RCODE.NOERROR : RCODE.NXDOMAIN,
      );
    }),
  );
});
