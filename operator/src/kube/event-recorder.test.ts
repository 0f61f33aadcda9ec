import { pino } from "pino";
import type { KubeClient } from "./client.ts";
import { KubeError } from "./errors.ts";
import { createEventRecorder, type Happening } from "./event-recorder.ts";
import { ManualClock } from "./manual-clock.ts";
import type { CoreEvent } from "./resource.ts";

const node = {
  apiVersion: "fabric.saf.dev/v1alpha1",
  kind: "FabricNode",
  metadata: { name: "home-a", uid: "u1" },
};
const connected: Happening = { object: node, type: "Normal", reason: "Connected", message: "in contact" };

function bench(fail: () => KubeError | undefined = () => undefined) {
  const created: CoreEvent[] = [];
  const patched: { name: string; patch: Partial<CoreEvent> }[] = [];
  const clock = new ManualClock();
  const client = {
    namespace: "fabric",
    create: async (_resource: unknown, event: CoreEvent) => void created.push(event),
    mergePatch: async (_resource: unknown, name: string, patch: object) => {
      const error = fail();
      if (error) throw error;
      patched.push({ name, patch });
    },
  } as unknown as KubeClient;
  const recorder = createEventRecorder({ client, instance: "op-1", clock, log: pino({ level: "silent" }) });
  return { recorder, created, patched, clock };
}

it("counts a repeated event on one object", async () => {
  const { recorder, created, patched } = bench();
  for (let time = 0; time < 3; time += 1) recorder.record(connected);
  await recorder.flush();
  expect(created).toHaveLength(1);
  expect(created[0]).toMatchObject({
    count: 1,
    reason: "Connected",
    involvedObject: { name: "home-a", uid: "u1" },
  });
  expect(patched.map(({ patch }) => patch.count)).toEqual([2, 3]);
});

it("tells different things apart", async () => {
  const { recorder, created } = bench();
  recorder.record(connected);
  recorder.record({ ...connected, message: "in contact again" });
  recorder.record({ ...connected, object: { ...node, metadata: { name: "home-b", uid: "u2" } } });
  await recorder.flush();
  expect(new Set(created.map(({ metadata }) => metadata.name)).size).toBe(3);
});

it("begins anew after ten minutes, and when the API server has let the event go", async () => {
  const gone = { now: false };
  const { recorder, created, clock } = bench(() =>
    gone.now ? new KubeError("NOT_FOUND", "expired") : undefined,
  );
  recorder.record(connected);
  await recorder.flush();
  await clock.advance(601_000);
  recorder.record(connected);
  await recorder.flush();
  expect(created).toHaveLength(2);
  gone.now = true;
  recorder.record(connected);
  await recorder.flush();
  expect(created).toHaveLength(3);
});

it("never fails and never grows without bound", async () => {
  const { recorder, created } = bench(() => new KubeError("UNAVAILABLE", "away"));
  for (let time = 0; time < 5_000; time += 1) recorder.record({ ...connected, message: `event ${time}` });
  await recorder.flush();
  expect(created.length).toBeLessThanOrEqual(2_001);
});

it("keeps messages to what the API server takes", async () => {
  const { recorder, created } = bench();
  recorder.record({ ...connected, message: "x".repeat(5_000) });
  await recorder.flush();
  expect(created[0]?.message).toHaveLength(1_024);
});
