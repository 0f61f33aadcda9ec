import fc from "fast-check";
import { addressToNumber, AddressError } from "./cidr.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";

test.each(["192.0.2.1:7443", "[2001:db8::1]:7443", "[::ffff:1.2.3.4]:1", "255.255.255.255:65535"])(
  "%s",
  (text) => {
    expect(formatEndpoint(parseEndpoint(text))).toBe(text);
  },
);

test.each([
  "[fe80::1%eth0]:7443",
  "fe80::1:7443",
  "[192.0.2.1]:7443",
  "192.0.2.1",
  "192.0.2.1:0",
  "192.0.2.1:65536",
  "example.org:7443",
  "[::1]:7443 ",
  "",
])("%j is no endpoint", (text) => {
  expect(() => parseEndpoint(text)).toThrow(AddressError);
});

test("what is an endpoint has an address that is a number", () => {
  const host = fc.oneof(
    fc.ipV6(),
    fc.ipV6().map((ip) => `${ip}%1`),
    fc.ipV4(),
    fc.string({ maxLength: 20 }),
  );
  const text = fc.tuple(host, fc.nat(70_000), fc.boolean());
  fc.assert(
    fc.property(text, ([ip, port, bracketed]) => {
      try {
        const { address } = parseEndpoint(bracketed ? `[${ip}]:${port}` : `${ip}:${port}`);
        expect(addressToNumber(address)).toBeGreaterThanOrEqual(0n);
      } catch (error) {
        expect(error).toBeInstanceOf(AddressError);
        expect((error as Error).message).toContain("an endpoint reads");
      }
    }),
  );
});
