import { KubeError } from "./errors.ts";
import { describeRequest, observedTransport, type ApiCall } from "./observed-transport.ts";
import { pathOf, KUBERNETES_NODES, LEASES, SECRETS, TOKEN_REVIEWS } from "./resource.ts";
import type { Transport } from "./transport.ts";

const lease = pathOf(LEASES, "fabric", "fabric-operator");
const secrets = pathOf(SECRETS, "fabric");

it.each([
  ["GET", lease, "get", "leases"],
  ["GET", `${secrets}?limit=500&continue=watch`, "list", "secrets"],
  ["GET", `${secrets}?watch=true&allowWatchBookmarks=true`, "watch", "secrets"],
  ["POST", `${secrets}?fieldManager=x`, "create", "secrets"],
  ["PUT", lease, "update", "leases"],
  ["PATCH", pathOf(LEASES, "fabric", "a", "status"), "patch", "leases"],
  ["DELETE", lease, "delete", "leases"],
  ["GET", pathOf(KUBERNETES_NODES, "fabric", "node-1"), "get", "nodes"],
  ["POST", pathOf(TOKEN_REVIEWS, "fabric"), "create", "tokenreviews"],
  ["GET", "/openapi/v3/apis/fabric.saf.dev/v1alpha1", "get", "openapi"],
] as const)("%s %s is %s %s", (method, target, verb, resource) => {
  expect(describeRequest({ method, target })).toEqual({ verb, resource });
});

it("tells how each request ended, and of a watch no time", async () => {
  const calls: ApiCall[] = [];
  const failing: Transport = {
    open: async () => {
      throw new KubeError("CONFLICT", "no");
    },
    close: () => undefined,
  };
  const observed = observedTransport(failing, (call) => calls.push(call));
  await expect(observed.open({ method: "PUT", target: lease })).rejects.toThrow(KubeError);
  await expect(observed.open({ method: "GET", target: `${secrets}?watch=true` })).rejects.toThrow(KubeError);
  expect(calls).toMatchObject([
    { verb: "update", resource: "leases", code: "CONFLICT" },
    { verb: "watch", seconds: null },
  ]);
  expect(calls[0]?.seconds).toBeGreaterThanOrEqual(0);
});
