/** Fleets for property tests: small address spaces, so that NATs, subnets and names collide often. */
import fc from "fast-check";
import type { RoleAssignment } from "@saf/crds";
import type { FleetNode } from "./fleet-node.ts";

const publicAddress = fc.constantFrom("203.0.113.1", "203.0.113.2", "198.51.100.9", "2001:db8::7");
const privateAddress = fc.constantFrom(
  "192.168.1.5",
  "192.168.1.6",
  "192.168.2.5",
  "10.0.0.5",
  "fd00::5",
  "169.254.3.4",
);
const uselessAddress = fc.constantFrom(
  "127.0.0.1",
  "0.0.0.0",
  "224.0.0.1",
  "::1",
  "fe80::1",
  "100.96.0.7",
  "fd5a::7",
);

const endpoint = fc
  .tuple(fc.oneof(publicAddress, privateAddress, uselessAddress), fc.constantFrom(7443, 7444))
  .map(([address, port]) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`));
const reported = fc.array(
  fc.oneof({ weight: 9, arbitrary: endpoint }, { weight: 1, arbitrary: fc.string({ maxLength: 20 }) }),
  {
    maxLength: 20,
  },
);

export const fleet: fc.Arbitrary<FleetNode[]> = fc
  .array(
    fc.record({
      state: fc.constantFrom("Active" as const, "Active" as const, "Suspended" as const, "Revoked" as const),
      certificateNotAfter: fc.option(fc.constantFrom(1_700_000_000, 1_900_000_000)),
      labels: fc.constantFrom({}, { ring: "canary" }, { ring: "stable", site: "attic" }),
      declaredLocality: fc.option(fc.constantFrom("attic", "cellar"), { nil: undefined }),
      reported,
      observed: fc.option(endpoint),
    }),
    { maxLength: 12 },
  )
  .map((nodes) =>
    nodes.map((node, index) => ({
      ...node,
      nodeId: `${String(index).padStart(8, "0")}-0000-4000-8000-000000000000`,
      nodeName: `node-${index}`,
      fingerprint: index.toString(16).padStart(64, "0"),
      addresses: { ipv4: `100.96.1.${index + 1}`, ipv6: `fd5a::1:${(index + 1).toString(16)}` },
      revokedReason: node.state === "Revoked" ? "stolen" : "",
    })),
  );

export const NOW_MS = 1_800_000_000_000;
const moment = fc.option(fc.constantFrom("2027-01-15T07:00:00Z", "2027-01-15T09:00:00Z"), { nil: undefined });

export const assignments: fc.Arbitrary<RoleAssignment[]> = fc
  .array(
    fc.record({
      role: fc.constantFrom("relay" as const, "exit" as const, "storage" as const),
      target: fc.oneof(
        fc.nat(12).map((index) => ({ nodeName: `node-${index}` })),
        fc.constantFrom(
          { nodeSelector: { matchLabels: { ring: "canary" } } },
          { nodeSelector: { matchLabels: {} } },
        ),
      ),
      notBefore: moment,
      expiresAt: moment,
    }),
    { maxLength: 6 },
  )
  .map((list) =>
    list.map(({ role, target, notBefore, expiresAt }, index) => ({
      apiVersion: "fabric.saf.dev/v1alpha1",
      kind: "RoleAssignment",
      metadata: { name: `ra-${index}`, uid: `uid-${index}`, generation: 1 },
      spec: { role, ...target, ...(notBefore && { notBefore }), ...(expiresAt && { expiresAt }) },
    })),
  );
