import type { Event } from "@saf/engine";
import type { Intents } from "../peers/desired.ts";
import { systemClock } from "../schedule/clock.ts";
import { createFakeEngine, type FakeEngine } from "../testing/fake-engine.ts";
import { until } from "../testing/until.ts";
import { createEngineLink, type EngineLink } from "./engine-link.ts";

const identity = { spiffeId: "", certificateChainPem: [], caCertificatesPem: [] };
function intents(epoch: number): Intents {
  const authority = { term: 1, epoch };
  return {
    trustDomain: "demo.example",
    expiresAtMs: 1,
    authority,
    identity,
    tunnel: null,
    peers: [],
    revoked: [],
    trafficRules: [],
  };
}

let engine: FakeEngine;
let link: EngineLink;
let target: Intents | null;
let failures: unknown[];
let events: Event[];
let stop: AbortController;
let running: Promise<void>;
beforeEach(() => {
  engine = createFakeEngine();
  [target, failures, events, stop] = [intents(1), [], [], new AbortController()];
});
afterEach(async () => {
  stop.abort();
  await running;
});
function run(): void {
  const observer = {
    onConnected: () => undefined,
    onEvent: (event: Event) => void events.push(event),
    onApplied: () => undefined,
    onFailure: (error: unknown) => void failures.push(error),
  };
  const options = {
    connect: engine.connect,
    target: () => target,
    observer,
    clock: systemClock,
    random: Math.random,
  };
  link = createEngineLink(options);
  running = link.run(stop.signal);
}
const appliedCount = (count: number) =>
  until(
    () => engine.applied.length,
    (length) => length >= count,
  );

describe("createEngineLink", () => {
  it("applies the target once it is connected, and each new one", async () => {
    run();
    await appliedCount(1);
    target = intents(2);
    link.sync();
    await appliedCount(2);
    expect(engine.applied.map(({ revision, authority }) => [revision, authority.epoch])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it("does not trouble the engine with a target that it has", async () => {
    run();
    await appliedCount(1);
    link.sync();
    link.sync();
    target = intents(2);
    link.sync();
    await appliedCount(2);
    expect(engine.applied).toHaveLength(2);
  });

  it("waits for an engine that is not there yet", async () => {
    engine.crash();
    run();
    await until(
      () => failures.length,
      (count) => count >= 2,
    );
    expect(failures[0]).toMatchObject({ code: "ENGINE_UNREACHABLE" });
    await expect(link.describe()).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
    engine.start();
    await appliedCount(1);
  });

  it("gives a restarted engine its state back within 200 ms", async () => {
    run();
    await appliedCount(1);
    engine.crash();
    await until(
      () => failures.length,
      (count) => count > 0,
    );
    engine.start();
    const startedMs = performance.now();
    await appliedCount(2);
    expect(performance.now() - startedMs).toBeLessThan(200);
    expect(engine.applied[1]).toEqual(engine.applied[0]);
    expect(link.hello?.instanceId).toBe("instance-2");
  });

  it("takes up the revision of an engine that outlived it", async () => {
    run();
    await appliedCount(1);
    engine.disconnect();
    await appliedCount(2);
    expect(engine.applied.map(({ revision }) => revision)).toEqual([1, 2]);
  });

  it("tries a refused apply again, and a newer target at once", async () => {
    engine.failNextApply("TUNNEL_FAILED");
    run();
    await until(
      () => failures.length,
      (count) => count === 1,
    );
    expect(failures).toMatchObject([{ code: "TUNNEL_FAILED" }]);
    await appliedCount(1);
    engine.failNextApply("TUNNEL_FAILED");
    target = intents(2);
    link.sync();
    await until(
      () => failures.length,
      (count) => count === 2,
    );
    target = intents(3);
    link.sync();
    await until(
      () => engine.applied.at(-1)?.authority.epoch,
      (epoch) => epoch === 3,
      100,
    );
  });

  it("stops an engine that shall do nothing", async () => {
    target = null;
    run();
    await until(
      () => engine.stops,
      (stops) => stops === 1,
    );
    expect(engine.applied).toEqual([]);
  });

  it("leaves the engine as it is when it ends", async () => {
    run();
    await appliedCount(1);
    stop.abort();
    await running;
    expect(engine.stops).toBe(0);
    expect(link.hello).toBeNull();
  });

  it("hands events on", async () => {
    run();
    await appliedCount(1);
    engine.emit({ type: "expired", what: "tunnel" });
    expect(events).toEqual([{ type: "expired", what: "tunnel" }]);
  });
});
