/** Ten thousand joins from one source, while others join. */
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import {
  addToken,
  createTestFabric,
  createTestNode,
  type TestFabric,
} from "../authority/testing/test-fabric.ts";
import {
  quiet,
  startTestPostgres,
  TRUST_DOMAIN,
  type TestPostgres,
} from "../ledger/testing/test-postgres.ts";
import { startEnrolmentApi, type EnrolmentApi } from "./enrolment-api.ts";
import { ENROLMENT_LIMITS } from "./enrolment-limits.ts";
import { createTestAttestor, createWorld } from "../attestation/testing/test-attestor.ts";
import { createEnrolmentClient, joinCall } from "./testing/enrolment-client.ts";
import type { Flood, FloodResult } from "./testing/flood.ts";

const FLOOD_JOINS = 10_000;
/** A calm source: well below what one may ask. */
const HONEST_GAP_MS = 500;

let postgres: TestPostgres;
let fabric: TestFabric;
let api: EnrolmentApi;
let worker: Worker | undefined;

beforeAll(async () => {
  postgres = await startTestPostgres();
  fabric = await createTestFabric(postgres);
  api = await startEnrolmentApi({
    listen: { address: "127.0.0.1", port: 0 },
    hosts: ["127.0.0.1"],
    ledger: fabric.ledger,
    authority: fabric.authority,
    attestor: createTestAttestor(createWorld({ policies: [] })),
    trustDomain: TRUST_DOMAIN,
    clock: () => fabric.clock.now,
    log: quiet,
    controlEndpoints: () => ["192.0.2.1:7443"],
    onJoin: () => undefined,
  });
});
afterAll(async () => {
  await worker?.terminate();
  await api.close();
  await fabric.ledger.close();
  await postgres.stop();
});

interface RunningFlood {
  running: boolean;
  /** Settles when every one of its joins is answered or cut off. */
  readonly result: Promise<FloodResult>;
}

function startFlood(workerData: Flood): RunningFlood {
  worker = new Worker(join(import.meta.dirname, "testing/flood.ts"), { workerData });
  const flood = { running: true, result: once(worker, "message").then(([result]) => result as FloodResult) };
  worker.once("message", () => {
    flood.running = false;
  });
  return flood;
}

it("a flood is cut off at its source's limit, and all others are served meanwhile", async () => {
  const token = await addToken(fabric);
  const from = performance.now();
  const flood = startFlood({
    call: await joinCall(fabric, createTestNode(), token),
    host: api.address.address,
    port: api.address.port,
    localAddress: "127.0.0.2",
    ca: fabric.authority.caCertificatePem,
    count: FLOOD_JOINS,
    connections: 50,
  });
  const calm = createEnrolmentClient(fabric, api.address, "127.0.0.3");

  const waitsMs: number[] = [];
  while (flood.running) {
    const asked = performance.now();
    const answer = await calm.join<unknown>(createTestNode(), token);
    expect(answer.status).toBe(202);
    waitsMs.push(performance.now() - asked);
    await delay(HONEST_GAP_MS);
  }
  const result = await flood.result;
  const seconds = (performance.now() - from) / 1000;
  calm.close();

  const { burst, perSecond } = ENROLMENT_LIMITS.joinsPerSource;
  const passed = FLOOD_JOINS - (result["429"] ?? 0) - (result["failed"] ?? 0);
  expect(passed).toBeGreaterThanOrEqual(1);
  expect(passed).toBeLessThanOrEqual(burst + perSecond * seconds);
  expect(waitsMs.length).toBeGreaterThanOrEqual(2);
  expect(Math.max(...waitsMs)).toBeLessThan(5_000);
  // Ten thousand a minute are fewer than the API turns away.
  expect(seconds).toBeLessThan(60);
  expect(await fabric.ledger.listJoinRequests()).toHaveLength(waitsMs.length + 1);
}, 90_000);
