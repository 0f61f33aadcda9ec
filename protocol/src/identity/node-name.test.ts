import { nodeNameOf } from "./node-name.ts";

it.each([
  ["worker-1", "worker-1"],
  ["worker-1.example.net", "worker-1-example-net"],
  ["ip-10-0-0-1.eu-central-1.compute.internal", "ip-10-0-0-1-eu-central-1-compute-internal"],
  ["a".repeat(63), "a".repeat(63)],
])("the Kubernetes Node %s is the node %s", (kubernetes, fabric) => {
  expect(nodeNameOf(kubernetes)).toBe(fabric);
});

it.each(["", "Worker", "worker_1", "a".repeat(64), `a.${"b".repeat(300)}`, ".", "worker.", "ünner", "a b"])(
  "%s makes no node name",
  (kubernetes) => {
    expect(() => nodeNameOf(kubernetes)).toThrow(expect.objectContaining({ code: "NODE_NAME_INVALID" }));
  },
);
