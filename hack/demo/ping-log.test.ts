import { countPings } from "./ping-log.ts";

const reply = (sequence: number): string =>
  `64 bytes from fd5a::2: icmp_seq=${sequence} ttl=64 time=0.4 ms\n`;

test("holes are losses, echoes under way at the end are not", () => {
  expect(countPings([1, 2, 5, 6, 8].map(reply).join(""), 20)).toEqual({
    received: 5,
    lost: 3,
    longestGapMs: 40,
  });
});

test("no reply at all is no reply, not a success", () => {
  expect(countPings("PING fd5a::2 56 data bytes\n", 20)).toEqual({ received: 0, lost: 0, longestGapMs: 0 });
});

test("errors and duplicates do not count as replies", () => {
  const output = `${reply(1)}${reply(1)}From 10.0.0.1 icmp_seq=2 Destination Host Unreachable\n${reply(3)}`;
  expect(countPings(output, 20)).toEqual({ received: 2, lost: 1, longestGapMs: 20 });
});
