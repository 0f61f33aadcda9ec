import type { NetworkInterfaceInfo } from "node:os";
import { parseEndpoint } from "@saf/protocol";
import { gatherCandidates, readInterfaces, type CandidateRules } from "./candidates.ts";

function info(address: string, internal = false): NetworkInterfaceInfo {
  const family = address.includes(":") ? "IPv6" : "IPv4";
  return { address, internal, family, netmask: "", mac: "", cidr: null, scopeid: 0 };
}
const rules: CandidateRules = { listenPort: 7443, advertise: [], excludeInterfaces: [], overlay: [] };

describe("gatherCandidates", () => {
  it("takes routable addresses of both families and leaves loopback and link-local out", () => {
    const interfaces = {
      lo: [info("127.0.0.1", true), info("::1", true)],
      eth0: [info("198.51.100.7"), info("2001:db8::7"), info("fe80::1"), info("169.254.3.4")],
    };
    expect(gatherCandidates(interfaces, rules)).toEqual(["198.51.100.7:7443", "[2001:db8::7]:7443"]);
  });

  it("leaves out the tunnel by name and the overlay by prefix", () => {
    const interfaces = {
      eth0: [info("10.0.0.2")],
      fabric0: [info("192.168.9.9")],
      fabric1: [info("100.96.0.5"), info("fd5a::5")],
    };
    const overlay = ["100.96.0.0/16", "fd5a::/64"];
    expect(gatherCandidates(interfaces, { ...rules, excludeInterfaces: ["fabric0"], overlay })).toEqual([
      "10.0.0.2:7443",
    ]);
  });

  it("puts advertised ones first, once, and stops at sixteen", () => {
    const eth0 = Array.from({ length: 30 }, (_, index) => info(`10.0.0.${index + 1}`));
    const found = gatherCandidates({ eth0 }, { ...rules, advertise: ["203.0.113.1:443", "10.0.0.1:7443"] });
    expect(found.slice(0, 2)).toEqual(["203.0.113.1:443", "10.0.0.1:7443"]);
    expect(found).toHaveLength(16);
    expect(new Set(found).size).toBe(16);
  });

  it("does not depend on the order in which interfaces are listed", () => {
    const [a, b] = [[info("10.0.0.1")], [info("10.0.0.2")]];
    expect(gatherCandidates({ a, b }, rules)).toEqual(gatherCandidates({ b, a }, rules));
  });

  it("gives endpoints on the machine it runs on", () => {
    for (const endpoint of gatherCandidates(readInterfaces(), rules)) {
      expect(parseEndpoint(endpoint).port).toBe(7443);
    }
  });
});
