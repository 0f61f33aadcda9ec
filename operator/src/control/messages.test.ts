import { pino } from "pino";
import type { OperatorEnvelope } from "@saf/protocol";
import type { CertificateRecord } from "../ledger/ledger.ts";
import { LedgerError } from "../ledger/errors.ts";
import { AuthorityError } from "../authority/errors.ts";
import { ManualClock } from "../kube/manual-clock.ts";
import { createFleet } from "./fleet.ts";
import { createMessageHandler } from "./messages.ts";
import { sampleHeartbeat } from "./testing/sample-heartbeat.ts";

const NODE = "11111111-2222-4333-8444-555555555555";
const SESSION = "6a3c3f0e-0000-4000-8000-000000000000";
const heartbeat = sampleHeartbeat();

function bench(
  issue: () => Promise<Partial<CertificateRecord>> = async () => ({ chainPem: ["leaf", "ca"] }),
) {
  const clock = new ManualClock();
  const fleet = createFleet();
  const replies: OperatorEnvelope[] = [];
  const renewed: string[] = [];
  const issued: string[] = [];
  const counted: string[] = [];
  const handle = createMessageHandler({
    authority: {
      issueNodeCertificate: async ({ nodeId, csrPem }) => {
        issued.push(`${nodeId} ${csrPem}`);
        return (await issue()) as CertificateRecord;
      },
    },
    fleet,
    clock,
    log: pino({ level: "silent" }),
    metrics: { message: (kind, outcome) => counted.push(`${kind} ${outcome}`) },
    sessionOf: () => SESSION,
    reply: async (_nodeId, envelope) => replies.push(envelope),
    onRenewed: (nodeId) => renewed.push(nodeId),
  });
  const say = (kind: string, body: unknown) => handle(NODE, kind, Buffer.from(JSON.stringify(body)));
  return { clock, fleet, replies, renewed, issued, counted, handle, say };
}

it("keeps a heartbeat and answers it", async () => {
  const { say, fleet, replies, clock, counted } = bench();
  fleet.sessionReady(NODE, "203.0.113.7:4500", clock.nowMs());
  await say("heartbeat", heartbeat);
  expect(fleet.facts(NODE)).toMatchObject({
    heartbeat,
    heartbeatAtMs: clock.nowMs(),
    candidates: heartbeat.candidates,
  });
  const seen = { observed: "203.0.113.7:4500", session: SESSION };
  expect(replies).toEqual([
    { kind: "heartbeat-ack", body: { sequence: 7, time: clock.nowMs() / 1000, ...seen } },
  ]);
  expect(counted).toEqual(["heartbeat taken"]);
});

it("renews for the node of the session, whoever the message might name", async () => {
  const { say, issued, replies, renewed } = bench();
  await say("renew", { csr: "CSR", nodeId: "somebody else" });
  expect(issued).toEqual([`${NODE} CSR`]);
  expect(replies).toEqual([{ kind: "renewed", body: { certificateChain: ["leaf", "ca"] } }]);
  expect(renewed).toEqual([NODE]);
});

it("tells a node what is wrong with its request, and of our own trouble only that there is one", async () => {
  const told = bench(async () => {
    throw new AuthorityError("CSR_KEY_MISMATCH", "another key");
  });
  await told.say("renew", { csr: "CSR" });
  expect(told.replies).toEqual([
    { kind: "refused", body: { code: "CSR_KEY_MISMATCH", message: "another key" } },
  ]);
  const ours = bench(async () => {
    throw new LedgerError("LEDGER_UNAVAILABLE", "password authentication failed for user saf");
  });
  await ours.say("renew", { csr: "CSR" });
  expect(ours.replies[0]).toMatchObject({ kind: "refused", body: { code: "UNAVAILABLE" } });
  expect(JSON.stringify(ours.replies)).not.toContain("password");
});

it("issues one certificate at a time, and again after a failure", async () => {
  const { say, issued, replies, clock } = bench();
  await say("renew", { csr: "1" });
  await say("renew", { csr: "2" });
  expect(issued).toHaveLength(1);
  expect(replies.at(-1)).toMatchObject({ body: { code: "RATE_LIMITED" } });
  await clock.advance(5_000);
  await say("renew", { csr: "3" });
  expect(issued).toHaveLength(2);
});

it.each([
  ["an unknown kind", "route-update", "{}", "ENVELOPE_UNKNOWN"],
  ["a kind of the other direction", "document", '{"jws":"x"}', "ENVELOPE_UNKNOWN"],
  ["no JSON", "heartbeat", "{", "ENVELOPE_MALFORMED"],
  ["another shape", "heartbeat", '{"sequence":-1}', "ENVELOPE_MALFORMED"],
  ["more than a heartbeat can be", "heartbeat", "x".repeat(16 * 1024 + 1), "ENVELOPE_TOO_LARGE"],
])("refuses %s", async (_what, kind, text, code) => {
  const { handle, replies, fleet } = bench();
  await handle(NODE, kind, Buffer.from(text));
  expect(replies).toEqual([{ kind: "refused", body: { code, message: expect.any(String) } }]);
  expect(fleet.facts(NODE).heartbeat).toBeNull();
});

it("does not read what a node says too often, and hears the others", async () => {
  const { handle, say, replies, clock } = bench();
  const payload = Buffer.from(JSON.stringify(heartbeat));
  for (let i = 0; i < 10_000; i += 1) await handle(NODE, "heartbeat", payload);
  expect(replies).toHaveLength(100);
  for (let i = 0; i < 10_000; i += 1) await handle(NODE, "renew", Buffer.from("{}"));
  expect(replies).toHaveLength(100);
  await handle("another", "heartbeat", payload);
  expect(replies).toHaveLength(101);
  await clock.advance(1_000);
  await say("heartbeat", heartbeat);
  expect(replies).toHaveLength(102);
});

it("lets no node move the fabric at will, and takes its place when it rests", async () => {
  const { say, fleet, clock } = bench();
  const moved: string[] = [];
  fleet.onChange((nodeId, aspects) => void (aspects.includes("reachability") && moved.push(nodeId)));
  for (let i = 0; i < 300; i += 1) {
    await say("heartbeat", { ...heartbeat, candidates: [`192.168.1.5:${1000 + i}`] });
    await clock.advance(200);
  }
  // The first, ten at once, and one in ten seconds of a minute.
  expect(moved.length).toBeLessThanOrEqual(1 + 10 + 6);
  await clock.advance(10_000);
  await say("heartbeat", heartbeat);
  expect(fleet.facts(NODE).candidates).toEqual(heartbeat.candidates);
});
