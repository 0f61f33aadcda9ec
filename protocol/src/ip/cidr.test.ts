import fc from "fast-check";
import {
  AddressError,
  addressToNumber,
  cidrContains,
  formatCidr,
  hostCount,
  nthAddress,
  parseCidr,
} from "./cidr.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";

test.each([
  ["100.96.0.0/16", 5n, "100.96.0.5"],
  ["fd5a:1::/64", 5n, "fd5a:1::5"],
  ["fd5a:1::/64", 65536n, "fd5a:1::1:0"],
  ["::ffff:10.0.0.0/104", 258n, "::ffff:10.0.1.2"],
])("%s has %s-th address %s", (cidr, ordinal, address) => {
  expect(nthAddress(parseCidr(cidr), ordinal)).toBe(address);
  expect(addressToNumber(address)).toBe(parseCidr(cidr).base + ordinal);
});

test.each(["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "fd00::1/64", "x/8", "10.0.0.0/8/8", "10.0.0.0/-1", ""])(
  "%j is no prefix",
  (text) => {
    expect(() => parseCidr(text)).toThrow(AddressError);
  },
);

test("every address of a prefix is inside it, its neighbours are not, and text round-trips", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 32 }), fc.nat(), (base, length, pick) => {
      const size = hostCount({ family: 4, prefixLength: length });
      const start = BigInt(base) - (BigInt(base) % size);
      const cidr = { family: 4 as const, base: start, prefixLength: length };
      expect(parseCidr(formatCidr(cidr))).toEqual(cidr);
      expect(cidrContains(cidr, nthAddress(cidr, BigInt(pick) % size))).toBe(true);
      if (start > 0n) expect(cidrContains(cidr, nthAddress({ ...cidr, base: start - 1n }, 0n))).toBe(false);
      expect(() => nthAddress(cidr, size)).toThrow(AddressError);
    }),
  );
});

test("IPv6 text and number are each other's inverse", () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const number = addressToNumber(address);
      expect(addressToNumber(nthAddress({ family: 6, base: 0n, prefixLength: 0 }, number))).toBe(number);
    }),
  );
});

test("endpoints", () => {
  for (const text of ["192.0.2.1:7443", "[2001:db8::1]:1"])
    expect(formatEndpoint(parseEndpoint(text))).toBe(text);
  for (const text of [
    "host:1",
    "192.0.2.1",
    "192.0.2.1:0",
    "192.0.2.1:65536",
    "2001:db8::1:1",
    "[192.0.2.1]:1",
  ]) {
    expect(() => parseEndpoint(text)).toThrow(AddressError);
  }
});
