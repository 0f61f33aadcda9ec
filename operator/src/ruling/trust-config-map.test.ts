import type { Scope } from "../controllers/scope.ts";
import { KubeError } from "../kube/errors.ts";
import type { ConfigMap } from "../kube/resource.ts";
import { publishTrust, TRUST_CONFIG_MAP } from "./trust-config-map.ts";

const data = { pin: "the-pin", "ca.crt": "the-certificate" };
const authority = { caPin: data.pin, caCertificatePem: data["ca.crt"] } as Scope["authority"];

async function publishOver(found: ConfigMap["data"] | KubeError): Promise<unknown[]> {
  const applied: unknown[] = [];
  const client = {
    get: () => (found instanceof KubeError ? Promise.reject(found) : Promise.resolve({ data: found })),
    apply: (_resource: unknown, object: unknown) => Promise.resolve(void applied.push(object)),
  } as unknown as Scope["client"];
  await publishTrust({ authority, client })(TRUST_CONFIG_MAP);
  return applied;
}

it.each([
  ["is not there", new KubeError("NOT_FOUND", "none")],
  ["is empty", undefined],
  ["was changed", { ...data, pin: "another" }],
  ["has something added", { ...data, more: "x" }],
])("writes what to believe where it %s", async (_what, found) => {
  expect(await publishOver(found)).toEqual([{ metadata: { name: "fabric-trust" }, data }]);
});

it("writes nothing where all is well, and nothing where it may not look", async () => {
  expect(await publishOver({ ...data })).toEqual([]);
  await expect(publishOver(new KubeError("FORBIDDEN", "cannot get"))).rejects.toThrow("cannot get");
});
