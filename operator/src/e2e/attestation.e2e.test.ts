/**
 * Pods that join with their projected tokens: a real API server makes the tokens (TokenRequest), binds them to pods and Nodes and
 * reviews them; the operator asks it with its own rights only. The pods and Nodes are objects without a kubelet: what a kubelet would
 * add is that the token lies in a file.
 */
import { X509Certificate } from "node:crypto";
import type { Cluster, FabricNode, JoinRequest } from "@saf/crds";
import { pinOfSpki, spkiOf } from "@saf/protocol";
import { createJoiner, type Answer, type Joiner } from "./joiner.ts";
import { reasonOf } from "./ready-reason.ts";
import { buildStage, clusterOf, eventually, NAMESPACE, type RunningOperator, type Stage } from "./stage.ts";

const AUDIENCE = "fabric-enrolment";
let stage: Stage;
let operator: RunningOperator;
let pods = 0;

interface PodHere {
  readonly name: string;
  readonly uid: string;
  token(audience?: string): Promise<string>;
  /** Gone for good, as when its Node's kubelet has stopped it. */
  end(): Promise<void>;
}

async function createNode(name: string, address: string, podCIDR?: string): Promise<void> {
  const spec = podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR] };
  await stage.apply({ apiVersion: "v1", kind: "Node", metadata: { name }, spec });
  const status = { addresses: [{ type: "InternalIP", address }] };
  await stage.kubectl("patch", "node", name, "--subresource=status", "-p", JSON.stringify({ status }));
}

async function createPod(nodeName: string, serviceAccountName = "fabric-agent"): Promise<PodHere> {
  const name = `agent-${++pods}`;
  const containers = [{ name: "agent", image: "agent" }];
  const spec = { nodeName, serviceAccountName, containers, automountServiceAccountToken: false };
  await stage.apply({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: NAMESPACE }, spec });
  const uid = await stage.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}");
  return {
    name,
    uid,
    token: (audience = AUDIENCE) =>
      tokenOf(
        serviceAccountName,
        `--audience=${audience}`,
        "--bound-object-kind=Pod",
        `--bound-object-name=${name}`,
        `--bound-object-uid=${uid}`,
      ),
    end: async () => void (await stage.kubectl("delete", "pod", name, "--force", "--grace-period=0")),
  };
}

async function tokenOf(account: string, ...args: string[]): Promise<string> {
  return (await stage.kubectl("create", "token", account, ...args)).trim();
}

const joinerOf = (nodeName: string, source?: string): Joiner =>
  createJoiner(stage.ports.enrolment, nodeName, source);

async function askWith(
  joiner: Joiner,
  serviceAccountToken: string,
  fields: object = {},
): Promise<[number, string]> {
  const { status, body } = await joiner.askAs({ serviceAccountToken, ...fields });
  return [status, (body as { code?: string; state?: string }).code ?? (body as { state: string }).state];
}

const policy = (entry: object = {}): object => ({
  name: "fabric-agent",
  namespace: NAMESPACE,
  audience: AUDIENCE,
  ...entry,
});

async function allow(...serviceAccounts: object[]): Promise<void> {
  await stage.apply(clusterOf(stage, { enrolment: { serviceAccounts } }));
}

/** The operator sees a changed Cluster a moment later; until then it answers as before. */
async function askUntil(expected: string, ask: () => Promise<[number, string]>): Promise<[number, string]> {
  return eventually(`the answer is ${expected}`, async () => {
    const answer = await ask();
    return answer[1] === expected && answer;
  });
}

beforeAll(async () => {
  stage = await buildStage();
  await stage.kubectl("create", "serviceaccount", "fabric-agent");
  await stage.kubectl("create", "serviceaccount", "stranger");
  await createNode("worker-1.example", "127.0.0.1", "127.1.0.0/24");
  await createNode("worker-2.example", "127.0.0.2", "127.2.0.0/24");
  operator = await stage.startOperator({ holder: "first", ledger: "one" });
  await stage.apply(clusterOf(stage));
  await eventually("the Cluster is ruled", async () =>
    ["Ruled"].includes(reasonOf(await stage.get<Cluster>("cluster", "stage")) ?? ""),
  );
}, 60_000);

afterAll(async () => {
  await stage?.end();
}, 60_000);

it("publishes whom to believe", async () => {
  const read = async () =>
    (await stage.get<{ data: Record<string, string> }>("configmap", "fabric-trust"))?.data;
  const data = await eventually("the trust is published", read);
  const cluster = await stage.get<Cluster>("cluster", "stage");
  expect(data["pin"]).toBe(cluster?.status?.authority?.caPin);
  expect(pinOfSpki(spkiOf(new X509Certificate(data["ca.crt"] ?? "").publicKey))).toBe(data["pin"]);
}, 30_000);

it("lets no pod ask before the Cluster says so", async () => {
  const pod = await createPod("worker-1.example");
  const answer = await askWith(joinerOf("worker-1-example"), await pod.token());
  expect(answer).toEqual([403, "SERVICE_ACCOUNTS_OFF"]);
}, 30_000);

it("keeps a pod's request pending for a person, and shows what proved it", async () => {
  await allow(policy());
  const pod = await createPod("worker-1.example");
  const joiner = joinerOf("worker-1-example");
  const token = await pod.token();
  expect(await askUntil("pending", () => askWith(joiner, token))).toEqual([202, "pending"]);
  const shown = await eventually("the request is shown", async () => {
    const request = await stage.get<JoinRequest>("jr", joiner.requestId);
    return reasonOf(request) === "AwaitingDecision" && request;
  });
  expect(shown.spec.attestation).toEqual({
    type: "ServiceAccount",
    pod: {
      namespace: NAMESPACE,
      name: pod.name,
      uid: pod.uid,
      serviceAccount: "fabric-agent",
      audience: AUDIENCE,
      node: "worker-1.example",
      source: "127.0.0.1",
      fromNode: true,
    },
  });
  expect(shown.spec).not.toHaveProperty("tokenName");
  expect(await joiner.poll()).toEqual({ state: "pending" });
  const entry = { user: "admin", decision: "Approve" };
  const patch = JSON.stringify({ spec: { approvals: [entry] } });
  await stage.kubectl("patch", "jr", joiner.requestId, "--type=merge", "-p", patch);
  expect(await joiner.poll(20)).toMatchObject({ state: "approved" });

  // The same key, from the pod's successor: nothing is asked of anybody. Another key: the name is taken, and a person must free it.
  const successor = await createPod("worker-1.example");
  expect(await askWith(joiner, await successor.token())).toEqual([202, "pending"]);
  expect(await joiner.poll()).toMatchObject({ state: "approved" });
  const lost = joinerOf("worker-1-example");
  expect(await askWith(lost, await successor.token())).toEqual([409, "NODE_NAME_TAKEN"]);
  await stage.kubectl("delete", "fn", "worker-1-example", "--timeout=20s");
  expect(await askWith(lost, await successor.token())).toEqual([202, "pending"]);
}, 60_000);

describe("refuses", () => {
  let pod: PodHere;
  beforeAll(async () => {
    await allow(policy());
    pod = await createPod("worker-2.example");
  }, 30_000);
  const worker2 = (source = "127.0.0.2") => joinerOf("worker-2-example", source);

  it.each<[string, string, () => Promise<[number, string]>]>([
    [
      "a token for the API server itself",
      "SERVICE_ACCOUNT_TOKEN_REFUSED",
      async () => askWith(worker2(), await pod.token("https://kubernetes.default.svc")),
    ],
    [
      "a token for another audience",
      "SERVICE_ACCOUNT_TOKEN_REFUSED",
      async () => askWith(worker2(), await pod.token("vault")),
    ],
    [
      "a token whose signature is made up",
      "SERVICE_ACCOUNT_TOKEN_REFUSED",
      async () => {
        const [head, payload, signature = ""] = (await pod.token()).split(".");
        return askWith(
          worker2(),
          [head, payload, Buffer.from(signature, "base64url").fill(7).toString("base64url")].join("."),
        );
      },
    ],
    [
      "a pod of another account",
      "SERVICE_ACCOUNT_NOT_ALLOWED",
      async () => askWith(worker2(), await (await createPod("worker-2.example", "stranger")).token()),
    ],
    [
      "a token that is bound to no pod",
      "POD_UNPROVED",
      async () => askWith(worker2(), await tokenOf("fabric-agent", `--audience=${AUDIENCE}`)),
    ],
    [
      "a pod on another Node under this one's name",
      "NODE_NAME_MISMATCH",
      async () =>
        askWith(
          joinerOf("worker-2-example", "127.0.0.1"),
          await (await createPod("worker-1.example")).token(),
        ),
    ],
    [
      "another Node's address",
      "SOURCE_NOT_NODE",
      async () => askWith(worker2("127.0.0.1"), await pod.token()),
    ],
    [
      "another Node's pod range",
      "SOURCE_NOT_NODE",
      async () => askWith(worker2("127.1.0.9"), await pod.token()),
    ],
    [
      "a pod on a Node that is no object any more",
      "SOURCE_NOT_NODE",
      async () => {
        await createNode("worker-3", "127.0.0.3");
        const orphan = await createPod("worker-3");
        const token = await orphan.token();
        await stage.kubectl("delete", "node", "worker-3");
        return askWith(joinerOf("worker-3", "127.0.0.3"), token);
      },
    ],
    [
      "a pod that has failed",
      "POD_ENDED",
      async () => {
        const failed = await createPod("worker-2.example");
        const status = JSON.stringify({ status: { phase: "Failed" } });
        await stage.kubectl("patch", "pod", failed.name, "--subresource=status", "-p", status);
        return askWith(worker2(), await failed.token());
      },
    ],
    [
      "roles that the Cluster does not allow",
      "ROLE_NOT_ALLOWED",
      async () => askWith(worker2(), await pod.token(), { requestedRoles: ["exit"] }),
    ],
  ])(
    "%s with %s",
    async (_what, code, ask) => {
      expect((await ask())[1]).toBe(code);
      expect(await stage.get("fn", "worker-2-example")).toBeUndefined();
    },
    30_000,
  );

  it("the token of a pod that is gone, by the API server's own word", async () => {
    const ended = await createPod("worker-2.example");
    const token = await ended.token();
    await ended.end();
    const answer: Answer = await worker2().askAs({ serviceAccountToken: token });
    expect(answer).toMatchObject({ status: 401, body: { code: "SERVICE_ACCOUNT_TOKEN_REFUSED" } });
  }, 30_000);

  it("a second key from the same pod", async () => {
    const used = await createPod("worker-2.example");
    expect(await askWith(worker2(), await used.token())).toEqual([202, "pending"]);
    expect(await askWith(worker2("127.2.0.7"), await used.token())).toEqual([409, "POD_ALREADY_USED"]);
  }, 30_000);

  it("and tells the owner of it", async () => {
    const events = await stage.kubectl(
      "get",
      "events",
      "--field-selector=reason=AttestationRefused,involvedObject.kind=Cluster",
      "-o",
      "jsonpath={range .items[*]}{.message}{'\\n'}{end}",
    );
    for (const code of ["SOURCE_NOT_NODE", "POD_ALREADY_USED", "NODE_NAME_MISMATCH", "POD_ENDED"])
      expect(events).toContain(`${code}: `);
  }, 30_000);
});

it("lets a pod in without a person where the Cluster says so, in the policy's name", async () => {
  await createNode("worker-4", "127.0.0.4", "127.4.0.0/24");
  await allow(policy());
  const pod = await createPod("worker-4");
  const joiner = joinerOf("worker-4", "127.4.0.1");
  expect(await askWith(joiner, await pod.token())).toEqual([202, "pending"]);
  await eventually("the request waits for a person", async () =>
    ["AwaitingDecision"].includes(reasonOf(await stage.get<JoinRequest>("jr", joiner.requestId)) ?? ""),
  );
  await allow(policy({ autoApprove: true }));
  expect(await joiner.poll(20)).toMatchObject({ state: "approved" });
  const request = await eventually("the decision is shown", async () => {
    const read = await stage.get<JoinRequest>("jr", joiner.requestId);
    return read?.status?.decision === "Approved" && read;
  });
  expect(request.status).toMatchObject({
    decidedBy: `policy/serviceaccount/${NAMESPACE}/fabric-agent`,
    reason: "the Cluster's spec.enrolment approves its pods",
  });
  expect(request.spec.approvals ?? []).toEqual([]);
  await eventually("the node is there", () => stage.get<FabricNode>("fn", "worker-4"));
}, 60_000);

it("approves nobody for another audience, nor a pod that has ended meanwhile", async () => {
  await createNode("worker-5", "127.0.0.5");
  await createNode("worker-6", "127.0.0.6");
  await allow(policy({ audience: "other", autoApprove: true }), policy());
  const [early, gone] = [await createPod("worker-5"), await createPod("worker-6")];
  const [waiting, ended] = [joinerOf("worker-5", "127.0.0.5"), joinerOf("worker-6", "127.0.0.6")];
  expect(await askWith(waiting, await early.token())).toEqual([202, "pending"]);
  expect(await askWith(ended, await gone.token())).toEqual([202, "pending"]);
  await gone.end();
  await allow(policy({ autoApprove: true }));
  expect(await waiting.poll(20)).toMatchObject({ state: "approved" });
  expect(await ended.poll()).toEqual({ state: "pending" });
}, 60_000);

it("says which right is missing, and goes on when it is there again", async () => {
  await createNode("worker-7", "127.0.0.7");
  const binding = ["clusterrolebinding", "fabric-operator-attestation"];
  const kept = await stage.get<object>("clusterrolebinding", "fabric-operator-attestation");
  await stage.kubectl("delete", ...binding);
  const pod = await createPod("worker-7");
  const joiner = joinerOf("worker-7", "127.0.0.7");
  const token = await pod.token();
  await askUntil("ATTESTATION_UNAVAILABLE", () => askWith(joiner, token));
  const told = await eventually("the missing right is told", async () => {
    const events = await stage.kubectl(
      "get",
      "events",
      "--field-selector=reason=PermissionMissing",
      "-o",
      "json",
    );
    return (JSON.parse(events) as { items: { message: string }[] }).items[0]?.message;
  });
  expect(told).toMatch(/cannot create resource "tokenreviews" in API group "authentication.k8s.io"/);
  await stage.apply({ ...kept, metadata: { name: binding[1] } });
  await askUntil("pending", () => askWith(joiner, token));
}, 60_000);

it("ends cleanly when asked", async () => {
  expect(await operator.stop()).toBe(0);
}, 30_000);
