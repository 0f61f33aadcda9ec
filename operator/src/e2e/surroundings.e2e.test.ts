/**
 * An operator whose surroundings are not as they should be: each says what is wrong where people look, and all is well when it is
 * mended, without a restart.
 */
import type { Cluster, FabricNode } from "@saf/crds";
import { startTestPostgres, type TestPostgres } from "../ledger/testing/test-postgres.ts";
import { createJoiner, makeToken } from "./joiner.ts";
import { reasonOf } from "./ready-reason.ts";
import { buildStage, clusterOf, eventually, NAMESPACE, type RunningOperator, type Stage } from "./stage.ts";

let stage: Stage;
let postgres: TestPostgres;

const clusterIs = (reason: string): Promise<Cluster> =>
  eventually(
    `the Cluster is ${reason}`,
    async () => {
      const cluster = await stage.get<Cluster>("cluster", "stage");
      return reasonOf(cluster) === reason && cluster;
    },
    30_000,
  );
const readyMessage = (cluster: Cluster): string | undefined =>
  cluster.status?.conditions?.find(({ type }) => type === "Ready")?.message;

const eventOf = (reason: string, text: string): Promise<string> =>
  eventually(
    `an Event ${reason} with ${text}`,
    async () => {
      const about = `--field-selector=reason=${reason},involvedObject.kind=Cluster`;
      const list = JSON.parse(await stage.kubectl("get", "events", about, "-o", "json")) as {
        items: { message: string }[];
      };
      return list.items.map(({ message }) => message).find((message) => message.includes(text));
    },
    30_000,
  );

interface Role {
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
}

/** The operator's Role without `resource`, and what puts it back. */
async function withoutRight(resource: string): Promise<() => Promise<unknown>> {
  const role = await stage.get<Role>("role", "fabric-operator");
  const patchRules = (rules: Role["rules"]) =>
    stage.kubectl("patch", "role", "fabric-operator", "--type=merge", "-p", JSON.stringify({ rules }));
  const less = (role?.rules ?? []).map((rule) => ({
    ...rule,
    resources: rule.resources.filter((name) => name !== resource),
  }));
  await patchRules(less.filter(({ resources }) => resources.length > 0));
  return () => patchRules(role?.rules ?? []);
}

beforeAll(async () => {
  postgres = await startTestPostgres();
  stage = await buildStage();
  await stage.apply(clusterOf(stage));
}, 90_000);

afterAll(async () => {
  await stage?.end();
  await postgres?.stop();
}, 60_000);

it.each<[string, (url: string) => string, string]>([
  ["a wrong user", (url) => url.replace(/user=[^&]*/, "user=nobody"), 'role "nobody" does not exist'],
  [
    "a wrong database",
    (url) => url.replace(/\/test_[^?]*/, "/elsewhere"),
    'database "elsewhere" does not exist',
  ],
])(
  "says that the database refuses %s",
  async (_what, wrong, text) => {
    const databaseUrl = wrong(await postgres.createDatabase());
    const operator = await stage.startOperator({
      holder: `wrong-${text.length}`,
      ledger: "none",
      databaseUrl,
    });
    const said = await eventually(`the Cluster says: ${text}`, async () => {
      const message = readyMessage(await clusterIs("DatabaseLoginRefused"));
      return message?.includes(text) && message;
    });
    expect(said).toContain("mend user, password or database");
    await operator.stop();
  },
  60_000,
);

describe("with one operator", () => {
  let operator: RunningOperator;
  let started = 0;
  const start = async (): Promise<void> => {
    // A log of its own each time.
    started += 1;
    operator = await stage.startOperator({ holder: `start-${started}`, ledger: "one" });
  };
  afterEach(async () => {
    expect(await operator?.stop()).toBe(0);
  }, 30_000);

  it("that may not read a kind: says which verb on what", async () => {
    const restore = await withoutRight("joinrequests");
    await start();
    const told = await eventOf("PermissionMissing", "joinrequests");
    expect(told).toMatch(
      /cannot list resource "joinrequests" in API group "fabric.saf.dev" in the namespace/,
    );
    expect(told).toContain("kubectl apply -f operator/manifests");
    await restore();
    await clusterIs("Ruled");
  }, 90_000);

  it("that may not read its Secret: the Cluster says so, and it rules when it may", async () => {
    const restore = await withoutRight("secrets");
    await start();
    const refused = await clusterIs("PermissionMissing");
    expect(readyMessage(refused)).toMatch(/cannot get resource "secrets"/);
    await restore();
    await clusterIs("Ruled");
  }, 90_000);

  it("that may not write what it publishes: says so and does the rest", async () => {
    await stage.kubectl("delete", "configmap", "fabric-trust", "--ignore-not-found");
    const restore = await withoutRight("configmaps");
    await start();
    expect(await eventOf("PermissionMissing", "configmaps")).toMatch(/cannot get resource "configmaps"/);
    await clusterIs("Ruled");
    await restore();
    await eventually("it is there again", () => stage.get("configmap", "fabric-trust"), 45_000);
  }, 90_000);

  it("that may not have its lease: its log says so", async () => {
    const restore = await withoutRight("leases");
    await start();
    const said = () => operator.log().includes("no right to the lease") && operator.log();
    expect(await eventually("the log says so", said)).toContain('cannot get resource \\"leases\\"');
    await restore();
    await clusterIs("Ruled");
  }, 60_000);

  it("before definitions of an older version: says which fields they lack, and rules", async () => {
    const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/enrolment";
    const kept = await stage.get<{ metadata: object }>("crd", "clusters.fabric.saf.dev");
    const older = JSON.stringify([{ op: "remove", path }]);
    await stage.kubectl("patch", "crd", "clusters.fabric.saf.dev", "--type=json", "-p", older);
    await eventually("the API server has forgotten the field", () =>
      stage.kubectl("explain", "cluster.spec.enrolment").then(
        () => false,
        () => true,
      ),
    );
    await start();
    const told = await eventOf("DefinitionsOutdated", "lack Cluster.spec.enrolment");
    expect(told).toContain("kubectl apply -f crds/manifests");
    await clusterIs("Ruled");
    expect(kept).toBeDefined();
    await stage.kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds/manifests/clusters.yaml");
  }, 60_000);

  it("before definitions that lack a kind: says so, and rules when it is there", async () => {
    await stage.kubectl("delete", "crd", "joinrequests.fabric.saf.dev", "--timeout=30s");
    await start();
    expect(await eventOf("DefinitionMissing", "kubectl apply -f crds/manifests")).toContain("not known");
    await stage.kubectl("apply", "-f", "crds/manifests/joinrequests.yaml");
    await clusterIs("Ruled");
    // It really rules: a token is looked at.
    const { object } = makeToken("after", "p".repeat(43));
    await stage.apply(object);
    await eventually(
      "the token is active",
      async () => reasonOf(await stage.get("jt", "after")) === "Active",
    );
  }, 90_000);

  it("whose node's clock is five minutes off lets it in; one more second is told how much", async () => {
    await start();
    const cluster = await clusterIs("Ruled");
    const { token, object } = makeToken("clocks", cluster.status?.authority?.caPin ?? "");
    await stage.apply(object);
    await eventually(
      "the token is active",
      async () => reasonOf(await stage.get("jt", "clocks")) === "Active",
    );
    const ask = (name: string, skewSeconds: number) =>
      createJoiner(stage.ports.enrolment, name, undefined, skewSeconds).ask(token);
    // A request takes its time: five minutes less five seconds, either way.
    expect(await ask("behind", -295)).toMatchObject({ status: 202 });
    expect(await ask("ahead", 295)).toMatchObject({ status: 202 });
    expect(await ask("lost", -420)).toMatchObject({
      status: 401,
      body: {
        code: "TIMESTAMP_OUT_OF_RANGE",
        detail: expect.stringMatching(/this node's clock is 42[0-9] s behind the operator's.*NTP/) as string,
      },
    });
    expect(await ask("early", 420)).toMatchObject({
      body: { detail: expect.stringMatching(/4(20|1[0-9]) s ahead of the operator's/) as string },
    });
  }, 60_000);

  it("whose namespace is deleted under it: ends ruling, lives on, and what is left goes as the documentation says", async () => {
    await start();
    const cluster = await clusterIs("Ruled");
    const { token, object } = makeToken("last", cluster.status?.authority?.caPin ?? "");
    await stage.apply(object);
    await eventually("the token is active", async () => reasonOf(await stage.get("jt", "last")) === "Active");
    const joiner = createJoiner(stage.ports.enrolment, "orphan");
    await joiner.ask(token);
    await eventually("the request is shown", () => stage.get("jr", joiner.requestId));
    const approvals = [{ user: "admin", decision: "Approve" }];
    const patch = JSON.stringify({ spec: { approvals } });
    await stage.kubectl("patch", "jr", joiner.requestId, "--type=merge", "-p", patch);
    await eventually("the node is there", () => stage.get<FabricNode>("fn", "orphan"));

    await stage.kubectl("delete", "namespace", NAMESPACE, "--wait=false");
    await eventually("it rules no more", () => operator.log().includes("no longer leading"), 60_000);
    // What it could not end in time goes as docs/operator.md says.
    const release = async (): Promise<void> => {
      const names = (await stage.kubectl("get", "fabricnodes,jointokens", "-o", "name")).split("\n");
      for (const name of names.filter(Boolean))
        await stage
          .kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
          .catch(() => undefined);
    };
    const gone = async (): Promise<boolean> => {
      await release();
      return (await stage.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")) === "";
    };
    await eventually("the namespace is gone", gone, 60_000);
    expect(() => process.kill(operator.pid, 0)).not.toThrow();
  }, 150_000);
});
