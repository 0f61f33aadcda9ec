import fc from "fast-check";
import { fleet } from "./arbitrary.ts";
import type { FleetNode } from "./fleet-node.ts";
import { candidatesFor, NOWHERE, placeNodes } from "./place.ts";

const POOLS = { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" };

function node(nodeId: string, changes: Partial<FleetNode>): FleetNode {
  return {
    nodeId,
    nodeName: nodeId,
    fingerprint: "a".repeat(64),
    addresses: { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
    state: "Active",
    revokedReason: "",
    certificateNotAfter: null,
    labels: {},
    declaredLocality: undefined,
    reported: [],
    observed: null,
    ...changes,
  };
}

/** Two at home behind one NAT, one elsewhere behind another with the same private subnet, one in the open. */
const homeA = node("home-a", { reported: ["192.168.1.10:7443"], observed: "203.0.113.7:40001" });
const homeB = node("home-b", {
  reported: ["192.168.1.11:7443", "172.17.0.1:7443"],
  observed: "203.0.113.7:40002",
});
const office = node("office", { reported: ["192.168.1.12:7443"], observed: "198.51.100.3:7443" });
const server = node("server", { reported: ["198.51.100.80:7443"], observed: "198.51.100.80:7443" });
const places = placeNodes([homeA, homeB, office, server], POOLS);
const place = (nodeId: string) => places.get(nodeId) ?? NOWHERE;
const offered = (viewer: string, of: string) =>
  candidatesFor(place(viewer), place(of)).map(({ endpoint }) => endpoint);

it("joins those behind one NAT on one subnet, and not those that only use the same numbers", () => {
  expect(place("home-a").locality).toBe(place("home-b").locality);
  expect(place("office").locality).not.toBe(place("home-a").locality);
  expect(place("server").locality).toBeNull();
});

it("offers private addresses at home only, and mapped ones to nobody", () => {
  expect(offered("home-a", "home-b")).toEqual(["192.168.1.11:7443", "172.17.0.1:7443"]);
  expect(offered("server", "home-b")).toEqual([]);
  expect(offered("office", "home-a")).toEqual([]);
  expect(offered("home-a", "server")).toEqual(["198.51.100.80:7443"]);
  expect(place("home-b").candidates).toContainEqual({ endpoint: "203.0.113.7:40002", kind: "mapped" });
});

it("knows an address in the open as the node's own", () => {
  expect(place("server").candidates).toEqual([{ endpoint: "198.51.100.80:7443", kind: "host" }]);
});

it("does not hide a private address under which the operator itself sees the node", () => {
  const lan = node("lan", { reported: ["10.1.0.4:7443"], observed: "10.1.0.4:7443" });
  expect(placeNodes([lan], POOLS).get("lan")?.candidates).toEqual([
    { endpoint: "10.1.0.4:7443", kind: "host" },
  ]);
});

it("believes a declared locality more than its own guess", () => {
  const declared = placeNodes(
    [node("a", { ...homeA, declaredLocality: "attic" }), node("b", { ...office, declaredLocality: "attic" })],
    POOLS,
  );
  expect([...declared.values()].map(({ locality }) => locality)).toEqual(["attic", "attic"]);
});

it("never offers what nobody can dial, nor more than a node may have", () => {
  fc.assert(
    fc.property(fleet, (nodes) => {
      for (const { candidates } of placeNodes(nodes, POOLS).values()) {
        expect(candidates.length).toBeLessThanOrEqual(16);
        for (const { endpoint } of candidates)
          expect(endpoint).not.toMatch(/^(127\.|0\.|224\.|100\.96\.|\[::1\]|\[fe80|\[fd5a|\[100::)/);
      }
    }),
  );
});

it("names localities in the form of a label", () => {
  fc.assert(
    fc.property(fleet, (nodes) => {
      for (const { locality } of placeNodes(nodes, POOLS).values())
        expect(locality ?? "none").toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
    }),
  );
});

it("derives one locality only behind one NAT", () => {
  fc.assert(
    fc.property(fleet, (nodes) => {
      const all = placeNodes(nodes, POOLS);
      const derived = nodes
        .filter(({ declaredLocality }) => declaredLocality === undefined)
        .map(({ nodeId }) => all.get(nodeId));
      for (const a of derived)
        for (const b of derived)
          if (a?.locality && a.locality === b?.locality) expect(a.natGroup).toBe(b.natGroup);
    }),
  );
});
