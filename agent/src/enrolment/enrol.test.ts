import { generateNodeKey, createCsr, fingerprintOfKey, type JoinStatus } from "@saf/protocol";
import { createPrivateKey, randomUUID } from "node:crypto";
import type { JoinAttempt, Membership } from "../identity/membership.ts";
import { AgentError } from "../errors.ts";
import type { NodeKey } from "../identity/node-key.ts";
import { CAPABILITIES, gatherFacts } from "../facts/facts.ts";
import { systemClock, type Clock } from "../schedule/clock.ts";
import { createTestAuthority, type TestAuthority } from "../testing/test-authority.ts";
import {
  problemOf,
  startTestEnrolmentServer,
  type TestEnrolmentServer,
} from "../testing/test-enrolment-server.ts";
import { enrol, type EnrolComponents, type Enrolled } from "./enrol.ts";

const SECRET = "s".repeat(43);
const nodeId = randomUUID();
/** Does not wait: what is tested is what happens, not when. */
const hurried: Clock = {
  elapsedMs: () => performance.now(),
  nowMs: systemClock.nowMs,
  sleep: async (_ms, signal) => signal.throwIfAborted(),
};

let authority: TestAuthority;
let server: TestEnrolmentServer;
let key: NodeKey;
let retries: unknown[];
let accepted: string[];
let approved: unknown[];
beforeEach(async () => {
  authority = await createTestAuthority();
  server = await startTestEnrolmentServer({ authority });
  const pem = generateNodeKey();
  const privateKey = createPrivateKey(pem);
  key = { pem, privateKey, fingerprint: fingerprintOfKey(privateKey) };
  retries = [];
  accepted = [];
  approved = [];
});
afterEach(() => server.close());

function attempt(overrides: Partial<JoinAttempt> = {}): JoinAttempt {
  const { url, pin } = { url: server.url, pin: authority.pin };
  const requested = { requestedRoles: ["entry"], requestId: null, denied: null };
  return { server: url, tokenId: "lab", pin, secret: SECRET, ...requested, ...overrides };
}

function start(
  from: JoinAttempt = attempt(),
  signal = new AbortController().signal,
  overrides: Partial<EnrolComponents> = {},
): Promise<Enrolled> {
  const components = {
    nodeName: "home-a",
    key,
    facts: gatherFacts,
    capabilities: CAPABILITIES,
    candidates: () => ["192.0.2.7:7443"],
    serviceAccount: null,
    clock: hurried,
    random: Math.random,
    onAccepted: async (requestId: string) => {
      accepted.push(requestId);
    },
    onApproved: async (membership: Membership) => {
      approved.push(membership);
    },
    onRetry: (error: unknown) => {
      retries.push(error);
    },
    ...overrides,
  };
  return enrol(from, components, signal);
}

async function approval(csr: string, overrides: Partial<JoinStatus> = {}): Promise<JoinStatus> {
  return {
    state: "approved",
    nodeId,
    trustDomain: authority.trustDomain,
    certificateChain: [await authority.issueForCsr(csr, nodeId), authority.caCertificatePem],
    trustRoot: await authority.trustRoot(),
    control: authority.control,
    ...overrides,
  } as JoinStatus;
}

describe("enrol", () => {
  it("joins, waits, and comes back a member", async () => {
    let polls = 0;
    server.decide(async (csr) => (++polls < 3 ? { state: "pending" } : approval(csr)));
    expect(await start()).toEqual({ decision: "approved" });
    expect(approved).toMatchObject([
      { trustDomain: "demo.example", nodeId, fingerprint: key.fingerprint, revoked: null },
    ]);
    expect(server.requests.map(({ method }) => method)).toEqual(["POST", "GET", "GET", "GET"]);
    expect(server.requests.every(({ signed }) => signed)).toBe(true);
    expect(server.requests[0]?.body).toMatchObject({
      tokenId: "lab",
      secret: SECRET,
      requestedRoles: ["entry"],
    });
    expect(accepted).toEqual([`home-a-${key.fingerprint.slice(0, 8)}`]);
    expect(server.requests[1]?.target).toBe(`/v1alpha1/join/${accepted[0]}?waitSeconds=25`);
  });

  it("hands back the reason of a denial", async () => {
    server.decide(async () => ({ state: "denied", reason: "not one of ours" }));
    expect(await start()).toEqual({ decision: "denied", reason: "not one of ours" });
  });

  it("says nothing at all to a server whose chain lacks the token's pin", async () => {
    const { pin } = await createTestAuthority("demo.example");
    await expect(start(attempt({ pin }))).rejects.toMatchObject({ code: "PIN_MISMATCH" });
    expect(server.requests).toEqual([]);
    expect(server.connections()).toBe(1);
  });

  it.each([
    ["TOKEN_EXPIRED", 403],
    ["TOKEN_REVOKED", 403],
    ["TOKEN_EXHAUSTED", 403],
    ["WRONG_CLUSTER", 403],
    ["NODE_NAME_TAKEN", 409],
  ])("gives up on %s with the server's code", async (code, status) => {
    server.answerNext(problemOf(code, status));
    await expect(start()).rejects.toMatchObject({ code, status, message: `${code} it is` });
    expect(server.requests).toHaveLength(1);
  });

  it("tries again after passing failures, with a fresh signature each time", async () => {
    server.answerNext(
      problemOf("RATE_LIMITED", 429),
      problemOf("LEDGER_UNAVAILABLE", 503),
      problemOf("REPLAYED", 409),
      { raw: "<html>", status: 502 },
    );
    server.decide(approval);
    await start();
    expect(retries).toMatchObject([
      { code: "RATE_LIMITED" },
      { code: "LEDGER_UNAVAILABLE" },
      { code: "REPLAYED" },
      { code: "SERVER_RESPONSE_INVALID" },
    ]);
    expect(server.requests.filter(({ method }) => method === "POST")).toHaveLength(5);
  });

  it("does not ask twice once its request is taken, even over failures", async () => {
    server.decide(approval);
    server.answerNext({ raw: JSON.stringify({ requestId: "home-a-1", state: "pending" }), status: 202 });
    await expect(start(attempt({ requestId: "home-a-x" }), AbortSignal.timeout(300))).rejects.toBeDefined();
    expect(server.requests.some(({ method }) => method === "POST")).toBe(false);
  });

  it("asks again when the server no longer knows the request", async () => {
    server.answerNext(problemOf("NOT_FOUND", 404));
    server.decide(approval);
    await start(attempt({ requestId: "home-a-00000000" }));
    expect(server.requests.map(({ method }) => method)).toEqual(["GET", "POST", "GET"]);
  });

  it("takes up its wait after a restart without the secret", async () => {
    const requestId = `home-a-${key.fingerprint.slice(0, 8)}`;
    await start(attempt(), AbortSignal.timeout(200)).catch(() => undefined); // the agent before the restart
    server.decide(approval);
    expect(await start(attempt({ requestId, secret: null }))).toMatchObject({ decision: "approved" });
    expect(server.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  it.each<[string, () => Promise<Partial<JoinStatus>>]>([
    ["MEMBERSHIP_INVALID", async () => ({ trustDomain: "other.example" })],
    ["BAD_SIGNATURE", async () => ({ trustRoot: `${(await authority.trustRoot()).slice(0, -8)}AAAAAAAA` })],
    [
      "WRONG_CLUSTER",
      async () => ({ trustRoot: await (await createTestAuthority("other.example")).trustRoot() }),
    ],
    ["MEMBERSHIP_INVALID", async () => ({ trustRoot: await (await createTestAuthority()).trustRoot() })],
    ["CERTIFICATE_INVALID", async () => ({ nodeId: randomUUID() })],
    [
      "CERTIFICATE_INVALID",
      async () => {
        const foreign = await createCsr(generateNodeKey(), "home-a");
        return { certificateChain: [await authority.issueForCsr(foreign, nodeId)] };
      },
    ],
    [
      "CERTIFICATE_INVALID",
      async () => {
        const csr = await createCsr(key.pem, "home-a");
        return { certificateChain: [await (await createTestAuthority()).issueForCsr(csr, nodeId)] };
      },
    ],
  ])("refuses an approval that is not this node's: %s", async (code, overrides) => {
    server.decide(async (csr) => approval(csr, await overrides()));
    await expect(start()).rejects.toMatchObject({ code });
    expect(approved).toEqual([]);
  });

  it("comes back for its membership when the disk could not take it", async () => {
    server.decide(approval);
    let full = true;
    const onApproved = async (membership: Membership): Promise<void> => {
      if (full) {
        full = false;
        throw new AgentError("STATE_DISK_FULL", "full");
      }
      approved.push(membership);
    };
    expect(await start(attempt(), undefined, { onApproved })).toEqual({ decision: "approved" });
    expect(retries).toMatchObject([{ code: "STATE_DISK_FULL" }]);
    expect(approved).toHaveLength(1);
    expect(server.requests.map(({ method }) => method)).toEqual(["POST", "GET", "GET"]);
  });

  it("stops when told to", async () => {
    const stop = new AbortController();
    const running = start(attempt(), stop.signal);
    stop.abort(new Error("stopping"));
    await expect(running).rejects.toThrow("stopping");
  });
});
