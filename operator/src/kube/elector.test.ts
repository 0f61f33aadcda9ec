import { pino } from "pino";
import type { KubeClient } from "./client.ts";
import { createElector, type LeaseTimings } from "./elector.ts";
import { KubeError } from "./errors.ts";
import { ManualClock, settle } from "./manual-clock.ts";
import type { Lease } from "./resource.ts";
import { aborted } from "./work-queue.ts";

const TIMINGS: LeaseTimings = { durationMs: 6_000, renewDeadlineMs: 4_000, retryMs: 1_000 };

/** One Lease, with the API server's optimistic concurrency. */
function leaseServer() {
  let lease: Lease | undefined;
  let version = 0;
  const cut = new Set<string>();
  const store = (next: Lease): Lease => {
    version += 1;
    lease = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } };
    return lease;
  };
  const clientFor = (identity: string): KubeClient => {
    const reach = (): void => {
      if (cut.has(identity)) throw new KubeError("UNAVAILABLE", "cut off");
    };
    const client = {
      get: async () => {
        reach();
        if (!lease) throw new KubeError("NOT_FOUND", "none");
        return lease;
      },
      create: async (_resource: unknown, object: Lease) => {
        reach();
        if (lease) throw new KubeError("ALREADY_EXISTS", "there is one");
        return store(object);
      },
      replace: async (_resource: unknown, object: Lease) => {
        reach();
        if (object.metadata.resourceVersion !== lease?.metadata.resourceVersion)
          throw new KubeError("CONFLICT", "changed meanwhile");
        return store(object);
      },
    };
    return client as unknown as KubeClient;
  };
  return {
    clientFor,
    cut,
    lease: () => lease,
    edit: (change: (lease: Lease) => Lease) => lease && store(change(lease)),
  };
}

function candidate(api: ReturnType<typeof leaseServer>, clock: ManualClock, identity: string) {
  const elector = createElector({
    client: api.clientFor(identity),
    leaseName: "fabric-operator",
    identity,
    timings: TIMINGS,
    clock,
    random: () => 0.5,
    log: pino({ level: "silent" }),
  });
  const end = new AbortController();
  const state = { leading: false, spells: 0 };
  const ended = elector.run(end.signal, async (signal) => {
    state.leading = true;
    state.spells += 1;
    await aborted(signal);
    state.leading = false;
  });
  return { state, stop: async () => (end.abort(), await ended) };
}

it("elects one of several", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const all = ["a", "b", "c"].map((identity) => candidate(api, clock, identity));
  await clock.advance(30_000);
  expect(all.filter(({ state }) => state.leading)).toHaveLength(1);
  expect(all.map(({ state }) => state.spells).reduce((a, b) => a + b)).toBe(1);
  await Promise.all(all.map(({ stop }) => stop()));
});

it("hands over at once when the leader ends cleanly", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await settle();
  const second = candidate(api, clock, "b");
  await clock.advance(3_000);
  await first.stop();
  expect(api.lease()?.spec?.holderIdentity).toBe("");
  await clock.advance(1_200);
  expect(second.state.leading).toBe(true);
  await second.stop();
});

it("lets a successor lead within the duration of a leader that fell silent, never before", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await settle();
  const second = candidate(api, clock, "b");
  await clock.advance(10_000);
  api.cut.add("a");
  const overlap: boolean[] = [];
  for (let step = 0; step < 80; step += 1) {
    await clock.advance(100);
    overlap.push(first.state.leading && second.state.leading);
  }
  expect(overlap).not.toContain(true);
  expect(first.state.leading).toBe(false);
  expect(second.state.leading).toBe(true);
  await second.stop();
  await first.stop();
});

it("survives a short silence of the API server", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await clock.advance(5_000);
  api.cut.add("a");
  await clock.advance(2_500);
  api.cut.delete("a");
  await clock.advance(10_000);
  expect(first.state).toEqual({ leading: true, spells: 1 });
  await first.stop();
});

it("survives somebody editing the Lease", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await clock.advance(5_000);
  api.edit((lease) => ({ ...lease, metadata: { ...lease.metadata, labels: { touched: "yes" } } }));
  await clock.advance(10_000);
  expect(first.state.spells).toBe(1);
  await first.stop();
});

it("stops when the Lease names another", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await clock.advance(5_000);
  api.edit((lease) => ({ ...lease, spec: { ...lease.spec, holderIdentity: "thief" } }));
  await clock.advance(1_000);
  expect(first.state.leading).toBe(false);
  await first.stop();
});

it("judges by its own clock, not by the time that is written", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  const first = candidate(api, clock, "a");
  await settle();
  const second = candidate(api, clock, "b");
  for (let second_ = 0; second_ < 20; second_ += 1) {
    await clock.advance(1_000);
    api.edit((lease) => ({
      ...lease,
      spec: { ...lease.spec, renewTime: `1970-01-01T00:00:${10 + second_}.000000Z` },
    }));
  }
  expect(second.state.leading).toBe(false);
  await Promise.all([first.stop(), second.stop()]);
});

it("stands again after its work failed, and does not hold the Lease meanwhile", async () => {
  const api = leaseServer();
  const clock = new ManualClock();
  let tries = 0;
  const elector = createElector({
    client: api.clientFor("a"),
    leaseName: "fabric-operator",
    identity: "a",
    timings: TIMINGS,
    clock,
    random: () => 0.5,
    log: pino({ level: "silent" }),
  });
  const end = new AbortController();
  const ended = elector.run(end.signal, async () => {
    tries += 1;
    throw new Error("no");
  });
  await clock.advance(2_000);
  expect(tries).toBe(1);
  expect(api.lease()?.spec?.holderIdentity).toBe("");
  await clock.advance(12_000);
  expect(tries).toBe(2);
  end.abort();
  await ended;
});
