import { pino } from "pino";
import { KubeError } from "./errors.ts";
import { createInformer } from "./informer.ts";
import { ManualClock, settle } from "./manual-clock.ts";
import type { KubeClient, WatchOptions } from "./client.ts";
import type { KubeObject, Resource } from "./resource.ts";
import type { WatchEvent } from "./watch-stream.ts";

const THINGS: Resource<KubeObject> = { apiVersion: "v1", kind: "Thing", plural: "things" };

function thing(name: string, resourceVersion: string): KubeObject {
  return { apiVersion: "v1", kind: "Thing", metadata: { name, resourceVersion } };
}

/** An API server that a test plays by hand. */
function server() {
  const lists: (() => { items: KubeObject[]; resourceVersion: string })[] = [];
  const watches: { from: string; push(event: WatchEvent<KubeObject>): void; end(error?: Error): void }[] = [];
  let listed = 0;
  const client = {
    list: async () => {
      listed += 1;
      const answer = lists.shift();
      if (!answer) throw new KubeError("UNAVAILABLE", "no answer");
      const { items, resourceVersion } = answer();
      return { items, metadata: { resourceVersion } };
    },
    async *watch(_resource: unknown, { resourceVersion, signal }: WatchOptions) {
      const events: WatchEvent<KubeObject>[] = [];
      let ended: { error?: Error } | undefined;
      let wake = (): void => undefined;
      signal.addEventListener("abort", () => wake());
      watches.push({
        from: resourceVersion,
        push: (event) => (events.push(event), wake()),
        end: (error) => ((ended = error ? { error } : {}), wake()),
      });
      while (!signal.aborted) {
        for (let event = events.shift(); event; event = events.shift()) yield event;
        if (ended?.error) throw ended.error;
        if (ended) return;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
  return { client: client as unknown as KubeClient, lists, watches, listed: () => listed };
}

function bench(...first: (() => { items: KubeObject[]; resourceVersion: string })[]) {
  const api = server();
  api.lists.push(...first);
  const clock = new ManualClock();
  const informer = createInformer({
    client: api.client,
    resource: THINGS,
    clock,
    random: () => 0,
    log: pino({ level: "silent" }),
  });
  const told: string[] = [];
  informer.onChange((name) => told.push(name));
  const end = new AbortController();
  const running = informer.run(end.signal);
  return { ...api, clock, informer, told, stop: () => (end.abort(), running) };
}

function names(objects: readonly KubeObject[]): string[] {
  return objects.map(({ metadata }) => metadata.name).sort();
}

it("lists, then follows the changes", async () => {
  const { lists, watches, informer, told, clock, stop } = bench();
  lists.push(() => ({ items: [thing("a", "1"), thing("b", "2")], resourceVersion: "5" }));
  await clock.advance(200);
  await informer.synced;
  expect(watches[0]?.from).toBe("5");
  watches[0]?.push({ type: "MODIFIED", object: thing("a", "6") });
  watches[0]?.push({ type: "DELETED", object: thing("b", "7") });
  await settle();
  expect(names(informer.list())).toEqual(["a"]);
  expect(informer.get("a")?.metadata.resourceVersion).toBe("6");
  expect(told).toEqual(["a", "b", "a", "b"]);
  await stop();
});

it("resumes from the newest version seen, bookmarks among them, without listing again", async () => {
  const { lists, watches, clock, listed, stop } = bench();
  lists.push(() => ({ items: [], resourceVersion: "5" }));
  await clock.advance(200);
  watches[0]?.push({ type: "BOOKMARK", object: thing("", "90") });
  await settle();
  watches[0]?.end(new KubeError("UNAVAILABLE", "cut off"));
  await clock.advance(5_000);
  expect(watches[1]?.from).toBe("90");
  expect(listed()).toBe(2);
  await stop();
});

it("lists again when its version is gone, and notices what went meanwhile", async () => {
  const { lists, watches, informer, told, clock, stop } = bench();
  lists.push(() => ({ items: [thing("a", "1"), thing("b", "2")], resourceVersion: "5" }));
  await clock.advance(200);
  told.length = 0;
  lists.push(() => ({ items: [thing("a", "1"), thing("c", "9")], resourceVersion: "9" }));
  watches[0]?.end(new KubeError("GONE", "too old", { status: 410 }));
  await clock.advance(5_000);
  expect(names(informer.list())).toEqual(["a", "c"]);
  expect(told.sort()).toEqual(["b", "c"]);
  expect(watches[1]?.from).toBe("9");
  await stop();
});

it("waits as long as an overloaded server asks", async () => {
  const { clock, listed, stop } = bench(() => {
    throw new KubeError("TOO_MANY_REQUESTS", "later", { status: 429, retryAfterMs: 30_000 });
  });
  await clock.advance(29_000);
  expect(listed()).toBe(1);
  await clock.advance(1_000);
  expect(listed()).toBe(2);
  await stop();
});

it("keeps trying an absent server, ever more slowly", async () => {
  const { clock, listed, stop } = bench();
  await clock.advance(60_000);
  expect(listed()).toBeGreaterThan(15);
  expect(listed()).toBeLessThan(40);
  await stop();
});

it("does not hammer a server that ends every watch at once", async () => {
  const { lists, watches, clock, stop } = bench();
  lists.push(() => ({ items: [], resourceVersion: "5" }));
  await clock.advance(200);
  for (let second = 0; second < 60; second += 1) {
    watches.at(-1)?.end();
    await clock.advance(1_000);
  }
  expect(watches.length).toBeLessThan(40);
  await stop();
});

it("tells nobody of an object that did not change", async () => {
  const { lists, watches, told, clock, stop } = bench();
  lists.push(() => ({ items: [thing("a", "1")], resourceVersion: "5" }));
  await clock.advance(200);
  watches[0]?.push({ type: "ADDED", object: thing("a", "1") });
  await settle();
  expect(told).toEqual(["a"]);
  await stop();
});
