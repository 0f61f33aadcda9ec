import { DEFAULT_TRAFFIC_RULES, nodeSnapshotBody, type TrafficRule } from "@saf/protocol";
import fc from "fast-check";
import { assignments, fleet, NOW_MS } from "./arbitrary.ts";
import { compileSnapshots, type CompileInput } from "./compile.ts";
import { digestsOf } from "./edition.ts";

const base: Omit<CompileInput, "nodes" | "assignments"> = {
  cluster: {
    name: "home",
    reachability: "Mesh",
    addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
    tunnel: { mtu: 1280 },
    dns: { domain: "fabric.internal" },
    endpoints: { enrolment: ["https://192.0.2.1:8443"], control: ["192.0.2.1:7443"] },
  },
  control: { spiffeId: "spiffe://home.example/operator/control", fingerprint: "c".repeat(64) },
  nowMs: NOW_MS,
};

const input = fc
  .record({ nodes: fleet, assignments, reachability: fc.constantFrom("Mesh" as const, "None" as const) })
  .map(({ reachability, ...rest }): CompileInput => ({
    ...base,
    ...rest,
    cluster: { ...base.cluster, reachability },
  }));

it("makes contents that a node accepts", () => {
  fc.assert(
    fc.property(input, (given) => {
      for (const content of compileSnapshots(given).contents.values())
        nodeSnapshotBody.omit({ trustRoot: true }).strict().parse(content);
    }),
  );
});

it("does not depend on the order of what it is given", () => {
  fc.assert(
    fc.property(input, (given) => {
      const turned = {
        ...given,
        nodes: given.nodes.toReversed(),
        assignments: given.assignments.toReversed(),
      };
      expect(JSON.stringify([...compileSnapshots(turned).contents])).toBe(
        JSON.stringify([...compileSnapshots(given).contents]),
      );
    }),
  );
});

it("speaks to every node but the revoked", () => {
  fc.assert(
    fc.property(input, (given) => {
      const wanted = given.nodes.filter(({ state }) => state !== "Revoked").map(({ nodeId }) => nodeId);
      expect([...compileSnapshots(given).contents.keys()].sort()).toEqual(wanted.sort());
    }),
  );
});

it("makes a mesh of the active nodes, and of nobody else", () => {
  fc.assert(
    fc.property(input, (given) => {
      const state = new Map(given.nodes.map((node) => [node.nodeId, node.state]));
      const active = given.nodes.filter((node) => node.state === "Active").length;
      for (const { nodeId, peers } of compileSnapshots(given).contents.values()) {
        const meshed = given.cluster.reachability === "Mesh" && state.get(nodeId) === "Active";
        expect(peers).toHaveLength(meshed ? active - 1 : 0);
        for (const peer of peers) {
          expect(peer.nodeId).not.toBe(nodeId);
          expect(state.get(peer.nodeId)).toBe("Active");
        }
      }
    }),
  );
});

it("names the revoked to everybody, as long as their certificates could still speak for them", () => {
  fc.assert(
    fc.property(input, (given) => {
      const named = given.nodes
        .filter(
          ({ state, certificateNotAfter }) => state === "Revoked" && certificateNotAfter === 1_900_000_000,
        )
        .map(({ nodeId }) => nodeId);
      for (const { revoked } of compileSnapshots(given).contents.values())
        expect(revoked.map(({ nodeId }) => nodeId).sort()).toEqual(named.sort());
    }),
  );
});

it("lets a private candidate out of its locality never", () => {
  fc.assert(
    fc.property(input, (given) => {
      const { contents, places } = compileSnapshots(given);
      for (const { nodeId, peers } of contents.values()) {
        const own = places.get(nodeId)?.locality;
        for (const peer of peers) {
          if (!peer.candidates.some(({ kind }) => kind === "private")) continue;
          expect(own).toEqual(expect.any(String));
          expect(places.get(peer.nodeId)?.locality).toBe(own);
        }
      }
    }),
  );
});

it("gives roles only to active nodes, and only while they last", () => {
  fc.assert(
    fc.property(input, (given) => {
      const { contents } = compileSnapshots(given);
      for (const node of given.nodes) {
        const roles = contents.get(node.nodeId)?.roles ?? [];
        const given_ = given.assignments.filter(({ spec }) => {
          const named = spec.nodeName === node.nodeName;
          const labels = spec.nodeSelector?.matchLabels ?? {};
          const selected =
            Object.keys(labels).length > 0 && Object.entries(labels).every(([k, v]) => node.labels[k] === v);
          const begun = spec.notBefore !== "2027-01-15T09:00:00Z";
          const over = spec.expiresAt === "2027-01-15T07:00:00Z";
          return (named || selected) && begun && !over && node.state === "Active";
        });
        expect(roles).toEqual([...new Set(given_.map(({ spec }) => spec.role))].sort());
      }
    }),
  );
});

it("names the zone after the cluster", () => {
  fc.assert(
    fc.property(input, (given) => {
      for (const { zone } of compileSnapshots(given).contents.values())
        expect(zone).toBe("home.fabric.internal");
    }),
  );
});

it("tells every node the cluster's traffic rules, and the default ones when it has none", () => {
  const rules: TrafficRule[] = [{ class: "interactive", ports: [{ from: 5060, to: 5061 }] }];
  fc.assert(
    fc.property(input, fc.boolean(), (given, has) => {
      const cluster = { ...given.cluster, ...(has && { trafficRules: rules }) };
      const compiled = compileSnapshots({ ...given, cluster });
      for (const { trafficRules } of compiled.contents.values())
        expect(trafficRules).toEqual(has ? rules : DEFAULT_TRAFFIC_RULES);
      const others = digestsOf(compileSnapshots({ ...given, cluster: { ...cluster, trafficRules: [] } }));
      for (const [nodeId, digest] of digestsOf(compiled)) expect(others.get(nodeId)).not.toBe(digest);
    }),
  );
});

it("gives equal digests to equal contents only", () => {
  fc.assert(
    fc.property(input, input, (one, other) => {
      const [a, b] = [compileSnapshots(one), compileSnapshots(other)];
      const [digestsA, digestsB] = [digestsOf(a), digestsOf(b)];
      for (const [nodeId, content] of a.contents) {
        const same = JSON.stringify(content) === JSON.stringify(b.contents.get(nodeId));
        expect(digestsA.get(nodeId) === digestsB.get(nodeId)).toBe(same);
      }
    }),
  );
});
