import { ManualClock, settle } from "./manual-clock.ts";
import { createWorkQueue, type Again, type WorkQueue } from "./work-queue.ts";

interface Bench {
  readonly clock: ManualClock;
  readonly queue: WorkQueue;
  /** Keys in the order in which work on them began. */
  readonly begun: string[];
  /** Ends the oldest work on the key. */
  readonly finish: (key: string, outcome?: Again | Error) => Promise<void>;
  readonly failures: number[];
  readonly stop: () => Promise<void>;
}

function bench(concurrency = 8): Bench {
  const clock = new ManualClock();
  const begun: string[] = [];
  const failures: number[] = [];
  const open = new Map<string, PromiseWithResolvers<Again | undefined>>();
  const queue = createWorkQueue({
    clock,
    random: () => 0.999_999_9,
    concurrency,
    backoff: { baseMs: 100, capMs: 1_000 },
    work: (key) => {
      if (open.has(key)) throw new Error(`${key} is in work twice`);
      begun.push(key);
      const work = Promise.withResolvers<Again | undefined>();
      open.set(key, work);
      return work.promise;
    },
    onFailure: (_key, _error, count) => failures.push(count),
  });
  const end = new AbortController();
  const running = queue.run(end.signal);
  return {
    clock,
    queue,
    begun,
    failures,
    async finish(key, outcome) {
      const work = open.get(key);
      open.delete(key);
      if (outcome instanceof Error) work?.reject(outcome);
      else work?.resolve(outcome);
      await settle();
    },
    async stop() {
      end.abort();
      await running;
    },
  };
}

it("holds a waiting key once", async () => {
  const { queue, begun, finish } = bench(1);
  queue.add("busy");
  queue.add("a");
  queue.add("a");
  await finish("busy");
  await finish("a");
  expect(begun).toEqual(["busy", "a"]);
});

it("works again on a key that was added meanwhile, but never twice at once", async () => {
  const { queue, begun, finish } = bench();
  queue.add("a");
  queue.add("a");
  queue.add("a");
  expect(begun).toEqual(["a"]);
  await finish("a");
  await finish("a");
  expect(begun).toEqual(["a", "a"]);
});

it("keeps to its concurrency", async () => {
  const { queue, begun, finish } = bench(2);
  ["a", "b", "c"].forEach(queue.add);
  expect(begun).toEqual(["a", "b"]);
  await finish("b");
  expect(begun).toEqual(["a", "b", "c"]);
});

it("brings a failed key back after a growing wait, and forgets after a success", async () => {
  const { queue, begun, finish, clock, failures } = bench();
  queue.add("a");
  await finish("a", new Error("once"));
  await clock.advance(99);
  expect(begun).toHaveLength(1);
  await clock.advance(1);
  expect(begun).toHaveLength(2);
  await finish("a", new Error("twice"));
  await clock.advance(199);
  expect(begun).toHaveLength(2);
  await clock.advance(1);
  await finish("a");
  queue.add("a");
  await finish("a", new Error("anew"));
  expect(failures).toEqual([1, 2, 1]);
});

it("lets other keys pass one that fails", async () => {
  const { queue, begun, finish } = bench(1);
  queue.add("bad");
  queue.add("good");
  await finish("bad", new Error("no"));
  expect(begun).toEqual(["bad", "good"]);
});

it("keeps the earlier of two dates", async () => {
  const { queue, begun, clock } = bench();
  queue.addAfter("a", 1_000);
  queue.addAfter("a", 100);
  queue.addAfter("a", 500);
  await clock.advance(100);
  expect(begun).toEqual(["a"]);
});

it("comes back when the work asks for it", async () => {
  const { queue, begun, finish, clock } = bench();
  queue.add("a");
  await finish("a", { afterMs: 300 });
  await clock.advance(299);
  expect(begun).toHaveLength(1);
  await clock.advance(1);
  expect(begun).toHaveLength(2);
});

it("ends when the work in hand has ended, and begins none", async () => {
  const { queue, begun, finish, stop } = bench(1);
  queue.add("a");
  queue.add("b");
  let ended = false;
  const stopped = stop().then(() => (ended = true));
  await settle();
  expect(ended).toBe(false);
  await finish("a");
  await stopped;
  queue.add("c");
  expect(begun).toEqual(["a"]);
});
