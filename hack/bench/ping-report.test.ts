import { parsePings } from "./ping-report.ts";

const output = `PING 100.96.0.3 (100.96.0.3) 56(84) bytes of data.
64 bytes from 100.96.0.3: icmp_seq=1 ttl=64 time=0.215 ms
64 bytes from 100.96.0.3: icmp_seq=2 ttl=64 time=12 ms
From 100.96.0.2 icmp_seq=3 Destination Host Unreachable
64 bytes from 100.96.0.3: icmp_seq=4 ttl=64 time=0.100 ms (DUP!)

--- 100.96.0.3 ping statistics ---
4 packets transmitted, 2 received, +1 duplicates, +1 errors, 50% packet loss, time 1029ms
rtt min/avg/max/mdev = 0.031/0.096/0.161/0.065 ms
`;

describe("ping's output", () => {
  it("gives round trips and counts", () => {
    expect(parsePings(output)).toEqual({ roundTripsMs: [0.215, 12, 0.1], sent: 4, received: 2 });
  });

  it("gives what came when ping was killed before its summary", () => {
    expect(parsePings(output.slice(0, 140))).toMatchObject({ roundTripsMs: [0.215], sent: 0, received: 0 });
  });

  it.each([
    "",
    "ping: connect: Network is unreachable",
    "icmp_seq=1 time=fast ms",
    "time=5 ms",
    "\0\u{FFFD}\n",
  ])("finds nothing in %j", (text) =>
    expect(parsePings(text)).toEqual({ roundTripsMs: [], sent: 0, received: 0 }),
  );
});
