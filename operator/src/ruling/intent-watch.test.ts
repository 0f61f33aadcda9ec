import type { KubeObject } from "../kube/resource.ts";
import { createIntentWatch } from "./intent-watch.ts";

const object = (metadata: Partial<KubeObject["metadata"]> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name: "a", uid: "u", generation: 1, resourceVersion: "1", ...metadata },
});

it.each<[string, KubeObject | undefined, boolean]>([
  ["its status", object({ resourceVersion: "2" }), false],
  ["its spec", object({ generation: 2 }), true],
  ["its labels", object({ labels: { ring: "canary" } }), true],
  ["its deletion", object({ deletionTimestamp: "2027-01-15T08:00:00Z" }), true],
  ["another of the same name", object({ uid: "v" }), true],
  ["its end", undefined, true],
])("sees %s for what it is", (_what, changed, moved) => {
  const watch = createIntentWatch();
  expect(watch.moved("a", object())).toBe(true);
  expect(watch.moved("a", changed)).toBe(moved);
});

it("makes nothing of the end of what it never saw", () => {
  expect(createIntentWatch().moved("a", undefined)).toBe(false);
});
