/** What the constructs make, and that a wrong object never leaves the synthesis. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { jest } from "@jest/globals";
import { App, Chart, Testing } from "cdk8s";
import { FabricCluster, NodeEnrolment } from "./index.ts";

// cdk8s leaves what it makes in the temporary directory.
const scratch = mkdtempSync(join(os.tmpdir(), "saf-cdk8s-"));
beforeAll(() => jest.spyOn(os, "tmpdir").mockReturnValue(scratch));
afterAll(() => rmSync(scratch, { recursive: true }));

const chart = (): Chart => new Chart(Testing.app(), "test");
const spec = {
  trustDomain: "home.example",
  addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  endpoints: { enrolment: ["https://10.96.7.7:8443"], control: ["10.96.7.7:7443"] },
};
const token = { tokenHash: `sha256:${"s".repeat(22)}:${"h".repeat(43)}`, expiresAt: "2030-01-01T00:00:00Z" };

it("a Cluster says what was said, and leaves defaults to the API server", () => {
  const app = chart();
  new FabricCluster(app, "home", { spec });
  expect(Testing.synth(app)).toEqual([
    { apiVersion: "fabric.saf.dev/v1alpha1", kind: "Cluster", metadata: { name: "home" }, spec },
  ]);
});

it("an enrolment is a token and roles, named after it", () => {
  const app = chart();
  new NodeEnrolment(app, "rack-7", {
    token,
    roles: [
      { role: "relay", nodeName: "usa-1" },
      { role: "exit", nodeName: "usa-1" },
    ],
  });
  const made = Testing.synth(app) as { kind: string; metadata: { name: string } }[];
  expect(made.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
    "JoinToken/rack-7",
    "RoleAssignment/rack-7-relay-0",
    "RoleAssignment/rack-7-exit-1",
  ]);
});

it.each([
  ["a trust domain with capitals", { ...spec, trustDomain: "Home" }, /spec\.trustDomain/],
  [
    "an endpoint without its port",
    { ...spec, endpoints: { ...spec.endpoints, control: ["10.96.7.7"] } },
    /spec\.endpoints\.control\.0/,
  ],
  ["no pools", { ...spec, addressPools: {} as typeof spec.addressPools }, /spec\.addressPools\.ipv4/],
])("%s fails the synthesis by name", (_what, wrong, message) => {
  expect(() => new FabricCluster(new Chart(new App(), "test"), "home", { spec: wrong })).toThrow(message);
});

it("what TypeScript refuses does not compile", () => {
  const make = (): FabricCluster =>
    new FabricCluster(chart(), "home", {
      // @ts-expect-error: there is no such reachability
      spec: { ...spec, reachability: "Everybody" },
    });
  expect(make).toThrow(/spec\.reachability/);
});
