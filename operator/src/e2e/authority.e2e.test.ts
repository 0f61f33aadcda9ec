/**
 * Who may sign, when several operators want to and when what they stand on goes away: the API server, the database, the ledger itself.
 */
import type { Cluster, JoinRequest } from "@saf/crds";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createJoiner, makeToken, type Joiner } from "./joiner.ts";
import {
  buildStage,
  clusterOf,
  eventually,
  NAMESPACE,
  type OperatorOptions,
  type RunningOperator,
  type Stage,
} from "./stage.ts";

let stage: Stage;
const running = new Map<string, RunningOperator>();

interface Conditioned {
  readonly status?:
    | {
        readonly conditions?:
          readonly { readonly type: string; readonly status: string; readonly reason: string }[] | undefined;
      }
    | undefined;
}
const condition = (object: Conditioned | undefined, type: string) =>
  object?.status?.conditions?.find((candidate) => candidate.type === type);

const cluster = async (): Promise<Cluster> => {
  const read = await stage.get<Cluster>("cluster", "stage");
  if (!read) throw new Error("there is no Cluster");
  return read;
};

const ruledBy = (holder: string, timeoutMs?: number): Promise<Cluster> =>
  eventually(
    `${holder} rules`,
    async () => {
      const read = await cluster();
      const held = condition(read, "AuthorityHeld")?.status === "True";
      return held && read.status?.authority?.holder === holder && read;
    },
    timeoutMs,
  );

async function start(options: OperatorOptions): Promise<RunningOperator> {
  const operator = await stage.startOperator(options);
  running.set(options.holder, operator);
  return operator;
}

async function joinerWithToken(name: string): Promise<{ joiner: Joiner; token: string }> {
  const { token, object } = makeToken(`token-${name}`, (await cluster()).status?.authority?.caPin ?? "");
  await stage.apply(object);
  await eventually(
    "the token is active",
    async () => condition(await stage.get("jt", `token-${name}`), "Ready")?.reason === "Active",
  );
  return { joiner: createJoiner(stage.ports.enrolment, name), token };
}

beforeAll(async () => {
  stage = await buildStage();
  await stage.apply(clusterOf(stage));
  await start({ holder: "first", ledger: "one" });
  await ruledBy("first");
}, 60_000);

afterAll(async () => {
  if (process.env["SHOW_LOG"]) running.forEach((operator) => console.log(operator.log()));
  await stage?.end();
}, 60_000);

it("lets a second operator with the same ledger stand by", async () => {
  await start({ holder: "second", ledger: "one" });
  const term = (await cluster()).status?.authority?.term;
  await eventually("the second has started", () => running.get("second")?.log().includes("operator started"));
  // Three times the lease's duration.
  await new Promise((resolve) => setTimeout(resolve, 9_000));
  expect((await cluster()).status?.authority).toMatchObject({ holder: "first", term });
  expect(running.get("second")?.log()).not.toContain('"ruling"');
}, 30_000);

it("hands over to it within seconds of a kill, in a new term with the same authority", async () => {
  const before = (await cluster()).status?.authority;
  await running.get("first")?.kill();
  const after = (await ruledBy("second", 15_000)).status?.authority;
  expect(after).toMatchObject({
    term: (before?.term ?? 0) + 1,
    ledgerId: before?.ledgerId,
    caPin: before?.caPin,
  });
}, 30_000);

it("refuses an operator with another ledger, which takes nothing and blocks nobody", async () => {
  const before = (await cluster()).status?.authority;
  await start({ holder: "stranger", ledger: "two" });
  await running.get("second")?.stop();
  await eventually(
    "the stranger is refused",
    async () => condition(await cluster(), "AuthorityHeld")?.reason === "ForeignLedger",
    30_000,
  );
  const refused = await cluster();
  const { ledgerId, term, holder, caPin } = before ?? {};
  expect(refused.status?.authority).toMatchObject({ ledgerId, term, holder, caPin });
  expect(condition(refused, "Ready")?.status).toBe("False");
  await start({ holder: "third", ledger: "one" });
  const after = (await ruledBy("third", 30_000)).status?.authority;
  expect(after).toMatchObject({ ledgerId: before?.ledgerId, caPin: before?.caPin });
  await running.get("stranger")?.stop();
}, 90_000);

it("refuses to make a second authority when the Secret is lost", async () => {
  const saved = await stage.kubectl("get", "secret", "fabric-authority", "-o", "json");
  await running.get("third")?.stop();
  await stage.kubectl("delete", "secret", "fabric-authority");
  await start({ holder: "fourth", ledger: "one" });
  await eventually(
    "it refuses",
    async () => condition(await cluster(), "AuthorityHeld")?.reason === "AuthoritySecretMissing",
  );
  const { data, type, immutable } = JSON.parse(saved) as { data: object; type: string; immutable: boolean };
  await stage.apply({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "fabric-authority" },
    type,
    immutable,
    data,
  });
  await ruledBy("fourth", 30_000);
}, 60_000);

it("loses nothing while the database is away", async () => {
  const { joiner, token } = await joinerWithToken("patient");
  const dataDir = join(stage.dir, "ledger-one");
  const postmaster = Number(readFileSync(join(dataDir, "pgdata/postmaster.pid"), "utf8").split("\n")[0]);
  const { term } = (await cluster()).status?.authority ?? {};
  process.kill(postmaster, "SIGKILL");
  const ask = async (): Promise<boolean> => (await joiner.ask(token)).status === 202;
  await eventually("the host is admitted again", ask, 60_000);
  expect((await cluster()).status?.authority?.term).toBe(term);
  await eventually("the request is shown", () => stage.get<JoinRequest>("jr", joiner.requestId));
}, 90_000);

it("loses nothing while the API server is away", async () => {
  const { joiner, token } = await joinerWithToken("while-away");
  const before = (await cluster()).status?.authority;
  const asked = joiner.ask(token);
  await stage.controlPlane.pause();
  expect(await asked).toMatchObject({ status: 202 });
  await eventually("it steps down", () => running.get("fourth")?.log().includes('"ending":"lost"'), 20_000);
  await stage.controlPlane.resume();
  const after = (await ruledBy("fourth", 30_000)).status?.authority;
  await eventually(
    "the term went on",
    async () => ((await cluster()).status?.authority?.term ?? 0) > (before?.term ?? 0),
    30_000,
  );
  expect(after?.ledgerId).toBe(before?.ledgerId);
  const request = await eventually(
    "the request is shown",
    () => stage.get<JoinRequest>("jr", joiner.requestId),
    30_000,
  );
  expect(request.spec.nodeName).toBe("while-away");
}, 120_000);

it("steps down when the API server hangs, and takes up again when it answers", async () => {
  const before = (await cluster()).status?.authority?.term ?? 0;
  const log = (): string => running.get("fourth")?.log() ?? "";
  const losses = log().split('"ending":"lost"').length;
  stage.controlPlane.freeze();
  await eventually("it steps down", () => log().split('"ending":"lost"').length > losses, 15_000);
  stage.controlPlane.thaw();
  const inNewTerm = async (): Promise<boolean> => ((await cluster()).status?.authority?.term ?? 0) > before;
  await eventually("it rules again, in a new term", inNewTerm, 30_000);
}, 60_000);

it("tells a second Cluster that it does not count", async () => {
  const second = clusterOf(stage, { trustDomain: "other.example" }) as { metadata: object };
  await stage.apply({ ...second, metadata: { name: "another" } });
  await eventually(
    "it is told",
    async () => condition(await stage.get("cluster", "another"), "Ready")?.reason === "AnotherCluster",
  );
  expect(condition(await cluster(), "Ready")?.status).toBe("True");
  await stage.kubectl("delete", "cluster", "another");
}, 30_000);

it("may do no more than its role says", async () => {
  const account = { namespace: NAMESPACE, serviceAccount: "fabric-operator" };
  const kubeconfig = await stage.controlPlane.kubeconfigFor(account);
  const can = async (...what: string[]): Promise<string> =>
    (
      await stage
        .kubectl("auth", "can-i", `--as=system:serviceaccount:${NAMESPACE}:fabric-operator`, ...what)
        .catch((error: { stdout?: string }) => error.stdout ?? "")
    ).trim();
  expect(kubeconfig).toContain("fabric-operator");
  expect(await can("get", "secrets/fabric-authority")).toBe("yes");
  expect(await can("get", "secrets/other")).toBe("no");
  expect(await can("list", "secrets")).toBe("no");
  expect(await can("delete", "fabricnodes")).toBe("no");
  expect(await can("get", "fabricnodes")).toBe("no");
  expect(await can("update", "joinrequests")).toBe("no");
  expect(await can("create", "jointokens")).toBe("no");
  expect(await can("update", "secrets/fabric-authority")).toBe("no");
  expect(await can("delete", "secrets/fabric-authority")).toBe("no");
  expect(await can("patch", "clusters")).toBe("no");
  expect(await can("list", "pods")).toBe("no");
  expect(await can("get", "configmaps/fabric-trust")).toBe("yes");
  expect(await can("get", "configmaps/other")).toBe("no");
  expect(await can("list", "nodes", "-A")).toBe("no");
  expect(await can("get", "tokenreviews", "-A")).toBe("no");
  expect(await can("get", "pods", "-n", "kube-system")).toBe("no");
}, 30_000);
