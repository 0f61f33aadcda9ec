/** Two operators behind one Service: it leads to the one that rules, with the rights of operator/manifests alone. */
import type { EndpointSlice } from "../kube/resource.ts";
import { buildStage, clusterOf, eventually, type RunningOperator, type Stage } from "./stage.ts";

const SERVICE = "fabric-operator";
let stage: Stage;

beforeAll(async () => {
  stage = await buildStage();
  const ports = [
    { name: "enrolment", port: 8443, protocol: "TCP" },
    { name: "control", port: 7443, protocol: "UDP" },
  ];
  await stage.apply({ apiVersion: "v1", kind: "Service", metadata: { name: SERVICE }, spec: { ports } });
  await stage.apply(clusterOf(stage));
}, 60_000);

afterAll(async () => {
  await stage?.end();
}, 60_000);

const start = (holder: string, address: string): Promise<RunningOperator> =>
  stage.startOperator({ holder, ledger: "shared", address });

const leadsTo = (address: string): Promise<EndpointSlice> =>
  eventually(`the Service leads to ${address}`, async () => {
    const slice = await stage.get<EndpointSlice>("endpointslice", SERVICE);
    return slice?.endpoints[0]?.addresses[0] === address && slice;
  });

it("follows the operator that rules", async () => {
  const first = await start("first", "10.1.0.1");
  const slice = await leadsTo("10.1.0.1");
  expect(slice).toMatchObject({
    addressType: "IPv4",
    metadata: {
      labels: { "kubernetes.io/service-name": SERVICE },
      ownerReferences: [{ kind: "Service", name: SERVICE }],
    },
    ports: [
      { name: "enrolment", port: stage.ports.enrolment, protocol: "TCP" },
      { name: "control", port: 7443, protocol: "UDP" },
    ],
    endpoints: [{ conditions: { ready: true }, nodeName: "node-of-first" }],
  });
  const second = await start("second", "10.1.0.2");
  await first.kill();
  expect(await leadsTo("10.1.0.2")).toMatchObject({ endpoints: [{ nodeName: "node-of-second" }] });
  await second.stop();
}, 90_000);

it("is taken along by its Service", async () => {
  await stage.kubectl("delete", "service", SERVICE);
  await eventually(
    "the slice is gone",
    async () => (await stage.get("endpointslice", SERVICE)) === undefined,
  );
}, 60_000);
