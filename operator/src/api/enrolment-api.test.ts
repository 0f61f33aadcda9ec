/** The enrolment API over real HTTPS, on a real ledger: the way in, and every way that is closed. */
import { pino } from "pino";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import {
  createCsr,
  fingerprintOfKey,
  importKeyPair,
  JOIN_PATH,
  joinStatus,
  pinOfSpki,
  PROBLEM_MEDIA_TYPE,
  REQUEST_ID_HEADER,
  problem,
  signRequest,
  spkiOf,
  verifyTrustRoot,
  x509,
  type JoinAccepted,
  type JoinBody,
  type JoinStatus,
} from "@saf/protocol";
import type { TokenSpec } from "../ledger/ledger.ts";
import { pools, unnamed } from "../ledger/testing/join-input.ts";
import {
  quiet,
  START,
  startTestPostgres,
  TRUST_DOMAIN,
  type TestPostgres,
} from "../ledger/testing/test-postgres.ts";
import {
  addToken,
  createTestFabric,
  createTestNode,
  type TestFabric,
  type TestNode,
} from "../authority/testing/test-fabric.ts";
import {
  createTestAttestor,
  createWorld,
  kubernetesNode,
  pod,
  policy,
  reviewed,
  type World,
} from "../attestation/testing/test-attestor.ts";
import { startEnrolmentApi, type EnrolmentApi, type EnrolmentApiInit } from "./enrolment-api.ts";
import {
  createEnrolmentClient,
  joinCall,
  pollCall,
  signedPost,
  type Answer,
  type Call,
  type EnrolmentClient,
  type Token,
} from "./testing/enrolment-client.ts";

let postgres: TestPostgres;
let fabric: TestFabric;
let token: Token;
let node: TestNode;
let api: EnrolmentApi;
let client: EnrolmentClient;
let joined: string[];
let world: World;
const ending: (() => unknown)[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  fabric = await createTestFabric(postgres);
  token = await addToken(fabric);
  node = createTestNode();
  joined = [];
  world = createWorld({ policies: [] });
  api = await start();
  client = connect();
});
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
  await fabric.ledger.close();
});

async function start(overrides: Partial<EnrolmentApiInit> = {}): Promise<EnrolmentApi> {
  const started = await startEnrolmentApi({
    listen: { address: "127.0.0.1", port: 0 },
    hosts: ["127.0.0.1", "join.example"],
    ledger: fabric.ledger,
    authority: fabric.authority,
    attestor: createTestAttestor(world, fabric.ledger, fabric.term),
    trustDomain: TRUST_DOMAIN,
    clock: () => fabric.clock.now,
    log: quiet,
    controlEndpoints: () => ["192.0.2.1:7443"],
    onJoin: (requestId) => joined.push(requestId),
    ...overrides,
  });
  ending.push(() => started.close());
  return started;
}

function connect(to: EnrolmentApi = api, localAddress?: string): EnrolmentClient {
  const connected = createEnrolmentClient(fabric, to.address, localAddress);
  ending.push(() => connected.close());
  return connected;
}

async function ask(): Promise<string> {
  const { body } = await client.join<JoinAccepted>(node, token);
  return body.requestId;
}

async function decide(requestId: string, decision: "Approved" | "Denied", reason = ""): Promise<string> {
  const made = await fabric.ledger.decideJoin(fabric.term, {
    requestId,
    decision,
    actor: "alice",
    reason,
    pools,
  });
  api.decided(requestId);
  return made.nodeId ?? "";
}

function approvedBody({ body }: Answer<JoinStatus>): JoinStatus & { state: "approved" } {
  const parsed = joinStatus.parse(body);
  if (parsed.state !== "approved") throw new Error(`not approved but ${parsed.state}`);
  return parsed;
}

it("names each request on its answer, and a refused one in the log too, whatever the client calls it", async () => {
  const codes: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const observed = await start({ log, onAnswer: (call, code) => codes.push(`${call} ${code}`) });
  const other = connect(observed);
  const taken = await other.join(node, token);
  const refused = await other.join(node, { ...token, id: "no-such-token" });
  const nowhere = await other.send({
    method: "GET",
    path: "/metrics",
    headers: { "x-request-id": "mine" },
    body: "",
  });
  const ids = [taken, refused, nowhere].map(({ headers }) => headers[REQUEST_ID_HEADER]);
  expect(new Set(ids).size).toBe(3);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(problem.parse(refused.body).instance).toBe(`urn:uuid:${String(ids[1])}`);
  expect(codes).toEqual(["join OK", "join TOKEN_UNKNOWN", "other NOT_FOUND"]);
  expect(lines).toMatchObject([
    { request: ids[0], msg: "join requested" },
    { request: ids[1], code: "TOKEN_UNKNOWN" },
    { request: ids[2], code: "NOT_FOUND" },
  ]);
  expect(JSON.stringify(lines)).not.toContain(token.secret);
});

function expectProblem(answer: Answer<unknown>, code: string, status: number): void {
  const body = problem.parse(answer.body);
  expect(body.instance).toBe(`urn:uuid:${String(answer.headers[REQUEST_ID_HEADER])}`);
  expect([body.code, body.status, answer.status]).toEqual([code, status, status]);
  expect(answer.headers["content-type"]).toContain(PROBLEM_MEDIA_TYPE);
}

describe("a node that joins", () => {
  it("is told that it waits, and its request is kept and reported once", async () => {
    const answer = await client.join<JoinAccepted>(node, token);
    const requestId = `${node.name}-${node.fingerprint.slice(0, 8)}`;
    expect([answer.status, answer.body]).toEqual([202, { requestId, state: "pending" }]);
    expect((await client.poll(node, requestId)).body).toEqual({ state: "pending" });
    expect(await fabric.ledger.joinRequest(requestId)).toMatchObject({
      nodeName: node.name,
      fingerprint: node.fingerprint,
      tokenName: "lab",
      decision: "Pending",
    });
    expect(await ask()).toBe(requestId);
    expect(joined).toEqual([requestId]);
  });

  it("learns of its approval while it waits, with all it needs to be a member", async () => {
    const requestId = await ask();
    const waiting = client.poll(node, requestId, 20);
    await delay(50);
    const nodeId = await decide(requestId, "Approved");
    const approved = approvedBody(await waiting);
    const [leaf, ca] = approved.certificateChain.map((pem) => new X509Certificate(pem));
    expect(leaf?.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}/node/${nodeId}`);
    expect(fingerprintOfKey(leaf?.publicKey ?? node.key)).toBe(node.fingerprint);
    expect(pinOfSpki(spkiOf((ca as X509Certificate).publicKey))).toBe(fabric.authority.caPin);
    const root = await verifyTrustRoot(approved.trustRoot, { cluster: TRUST_DOMAIN, now: START });
    expect(root.body.ledgerId).toBe(fabric.ledger.id);
    expect(approved).toMatchObject({
      nodeId,
      trustDomain: TRUST_DOMAIN,
      control: {
        endpoints: ["192.0.2.1:7443"],
        spiffeId: `spiffe://${TRUST_DOMAIN}/operator/control`,
        fingerprint: fabric.authority.control.fingerprint,
      },
    });
  });

  it("that asks again gets the same certificate while it is fresh, and a new one after half its life", async () => {
    const requestId = await ask();
    await decide(requestId, "Approved");
    const first = await Promise.all([1, 2, 3].map(() => client.poll(node, requestId)));
    const chains = new Set(first.map((answer) => approvedBody(answer).certificateChain.join()));
    expect(chains.size).toBe(1);
    fabric.clock.now += 43_199;
    expect(chains).toContain(approvedBody(await client.poll(node, requestId)).certificateChain.join());
    fabric.clock.now += 1;
    expect(chains).not.toContain(approvedBody(await client.poll(node, requestId)).certificateChain.join());
  });

  it("that is denied learns why", async () => {
    const requestId = await ask();
    const waiting = client.poll(node, requestId, 20);
    await decide(requestId, "Denied", "we do not know this host");
    expect((await waiting).body).toEqual({ state: "denied", reason: "we do not know this host" });
  });

  it("whose membership has ended learns that, and gets no certificate", async () => {
    const requestId = await ask();
    const nodeId = await decide(requestId, "Approved");
    await fabric.ledger.revokeIdentity(fabric.term, { nodeId, actor: "alice", reason: "stolen" });
    expect((await client.poll(node, requestId)).body).toEqual({
      state: "denied",
      reason: "no longer a member: stolen",
    });
    expect(await fabric.ledger.latestCertificate(nodeId)).toBeUndefined();
    expectProblem(await client.join(node, token), "REVOKED", 403);
  });

  it("waits no longer than it asked for", async () => {
    const requestId = await ask();
    const from = performance.now();
    expect((await client.poll(node, requestId, 1)).body).toEqual({ state: "pending" });
    expect(performance.now() - from).toBeGreaterThanOrEqual(900);
  });

  it("is one of exactly ten when a hundred join at once with a token for ten", async () => {
    await addToken(fabric, { name: "ten", maxUses: 10 }).then((ten) => (token = ten));
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => client.join<{ code?: string }>(createTestNode(), token)),
    );
    const count = (status: number, code?: string): number =>
      answers.filter((answer) => answer.status === status && answer.body.code === code).length;
    expect([count(202), count(403, "TOKEN_EXHAUSTED")]).toEqual([10, 90]);
  });
});

describe("the TLS end", () => {
  function handshake(options: object = {}): Promise<TLSSocket> {
    const { address, port } = api.address;
    const socket = connectTls({ host: address, port, ca: fabric.authority.caCertificatePem, ...options });
    ending.push(() => socket.destroy());
    return once(socket, "secureConnect").then(() => socket);
  }

  it("shows a chain that ends in the pinned CA, for its addresses and names", async () => {
    const socket = await handshake();
    expect(socket.getProtocol()).toBe("TLSv1.3");
    const { issuerCertificate } = socket.getPeerCertificate(true);
    const ca = new X509Certificate(issuerCertificate.raw);
    expect(pinOfSpki(spkiOf(ca.publicKey))).toBe(fabric.authority.caPin);
    await handshake({ servername: "join.example" });
  });

  it("speaks nothing older than TLS 1.3", async () => {
    await expect(handshake({ maxVersion: "TLSv1.2" })).rejects.toThrow(/alert|version/i);
  });

  it("renews its certificate at half its life without a restart", async () => {
    let issued = 0;
    const authority = {
      ...fabric.authority,
      issueServerCertificate: async (hosts: readonly string[]) => {
        issued += 1;
        const certificate = await fabric.authority.issueServerCertificate(hosts);
        return issued === 1 ? { ...certificate, notAfter: fabric.clock.now + 1 } : certificate;
      },
    };
    api = await start({ authority });
    const serial = async (): Promise<string> => (await handshake()).getPeerCertificate().serialNumber;
    const first = await serial();
    const deadline = performance.now() + 10_000;
    while ((await serial()) === first) {
      expect(performance.now()).toBeLessThan(deadline);
      await delay(50);
    }
    expect(issued).toBe(2);
  });
});

describe("a join is refused", () => {
  const refused = (overrides: Partial<JoinBody> = {}): Promise<Answer<unknown>> =>
    client.join(node, token, overrides);
  const withToken = async (spec: Partial<TokenSpec>): Promise<Answer<unknown>> =>
    client.join(node, await addToken(fabric, { name: "other", ...spec }));

  it("without a valid token", async () => {
    expectProblem(await refused({ tokenId: "nobody" }), "TOKEN_UNKNOWN", 401);
    expectProblem(await refused({ secret: "A".repeat(43) }), "TOKEN_UNKNOWN", 401);
    expectProblem(await withToken({ expiresAt: START }), "TOKEN_EXPIRED", 403);
    await fabric.ledger.removeToken(fabric.term, "other");
    expectProblem(await withToken({ revoked: true }), "TOKEN_REVOKED", 403);
    expect(await fabric.ledger.listJoinRequests()).toEqual([]);
  });

  it("with a token that is used up", async () => {
    const one = await addToken(fabric, { name: "one", maxUses: 1 });
    expect((await client.join(createTestNode(), one)).status).toBe(202);
    expectProblem(await client.join(node, one), "TOKEN_EXHAUSTED", 403);
  });

  it("for a role that the token does not allow", async () => {
    expectProblem(await refused({ requestedRoles: ["storage"] }), "ROLE_NOT_ALLOWED", 403);
  });

  it("at another cluster than the node means", async () => {
    expectProblem(await refused({ trustDomain: "other.example" }), "WRONG_CLUSTER", 403);
  });

  it("when the signing request is of another key, or none, or of another curve", async () => {
    const other = createTestNode();
    expectProblem(await refused({ csr: await createCsr(other.keyPem, node.name) }), "CSR_KEY_MISMATCH", 400);
    expectProblem(await refused({ csr: "-----BEGIN NOTHING-----" }), "CSR_INVALID", 400);
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, [
      "sign",
      "verify",
    ]);
    expect(privateKey.asymmetricKeyDetails?.namedCurve).toBe("secp384r1");
    const foreign = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-384" },
    });
    expectProblem(await refused({ csr: foreign.toString("pem") }), "CSR_INVALID", 400);
  });

  it("when the signing request asks for a name", async () => {
    const forged = await x509.Pkcs10CertificateRequestGenerator.create({
      keys: await importKeyPair(createPrivateKey(node.keyPem)),
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: "url", value: `spiffe://${TRUST_DOMAIN}/operator/control` },
        ]),
      ],
    });
    expectProblem(await refused({ csr: forged.toString("pem") }), "CSR_FORBIDDEN_SAN", 400);
  });

  it("under a member's name", async () => {
    await decide(await ask(), "Approved");
    const rival = createTestNode(node.name);
    expectProblem(await client.join(rival, token), "NODE_NAME_TAKEN", 409);
  });

  it("when it was changed on the way, is signed by another, or not at all", async () => {
    const call = await joinCall(fabric, node, token);
    const changed = String(call.body).replace('"cpus":2', '"cpus":3');
    expectProblem(await client.send({ ...call, body: changed }), "SIGNATURE_INVALID", 401);
    const impostor = signRequest(
      { method: "POST", target: JOIN_PATH, body: String(call.body) },
      createTestNode().key,
      START,
    );
    const headers = { ...call.headers, ...impostor, "saf-fingerprint": node.fingerprint };
    expectProblem(await client.send({ ...call, headers }), "SIGNATURE_INVALID", 401);
    const bare = { ...call, headers: { "content-type": "application/json" } };
    expectProblem(await client.send(bare), "SIGNATURE_INVALID", 401);
  });

  it("when it is dated more than five minutes away", async () => {
    for (const [offset, late] of [
      [-301, true],
      [301, true],
      [-300, false],
    ] as const) {
      const call = await joinCall({ ...fabric, clock: { now: START + offset } }, createTestNode(), token);
      const answer = await client.send<unknown>(call);
      if (late) expectProblem(answer, "TIMESTAMP_OUT_OF_RANGE", 401);
      else expect(answer.status).toBe(202);
    }
  });

  it("when it was made before", async () => {
    const call = await joinCall(fabric, node, token);
    expect((await client.send<unknown>(call)).status).toBe(202);
    expectProblem(await client.send(call), "REPLAYED", 409);
    expect((await fabric.ledger.token("lab"))?.uses).toBe(1);
  });

  it("when its body is over 64 KiB, announced or not", async () => {
    const big = Buffer.alloc(64 * 1024 + 1, " ");
    expectProblem(await client.send(signedPost(fabric, node, big)), "BODY_TOO_LARGE", 413);
    const { headers = {}, ...call } = signedPost(fabric, node, big);
    const chunked = { ...call, headers: { ...headers, "transfer-encoding": "chunked" } };
    expectProblem(await client.send(chunked), "BODY_TOO_LARGE", 413);
  });

  it("when its body is not a join", async () => {
    const bodies = [
      "",
      "{",
      "null",
      '"text"',
      "[]",
      "{}",
      Buffer.from([0x7b, 0xff, 0x7d]),
      '{"__proto__":{"tokenId":"lab"}}',
    ];
    for (const body of bodies)
      expectProblem(await client.send(signedPost(fabric, node, body)), "BODY_INVALID", 400);
    expectProblem(await refused({ nodeName: "Not A Name" }), "BODY_INVALID", 400);
    expectProblem(
      await refused({ candidates: Array.from({ length: 17 }, () => "192.0.2.1:1") }),
      "BODY_INVALID",
      400,
    );
    const { csr } = JSON.parse(String((await joinCall(fabric, node, token)).body)) as JoinBody;
    for (const text of ["\u0000", "\u001b[31m", "\n", "\ud800"]) {
      expectProblem(await refused({ candidates: [text] }), "BODY_INVALID", 400);
      expectProblem(await refused({ requestedRoles: [text] }), "BODY_INVALID", 400);
    }
    expectProblem(await refused({ csr: `\u0000${csr}` }), "BODY_INVALID", 400);
    expectProblem(await refused({ unknown: true } as Partial<JoinBody>), "BODY_INVALID", 400);
    const call = await joinCall(fabric, node, token);
    const text = { ...call, headers: { ...call.headers, "content-type": "text/plain" } };
    expectProblem(await client.send(text), "BODY_INVALID", 400);
  });

  it("when the operator no longer leads", async () => {
    const requestId = await ask();
    await decide(requestId, "Approved");
    await fabric.ledger.takeTerm({ holder: "second", expected: fabric.term });
    expectProblem(await client.join(createTestNode(), token), "NOT_LEADING", 503);
    expectProblem(await client.poll(node, requestId), "NOT_LEADING", 503);
  });

  it("and says nothing of why inside, when the operator itself fails", async () => {
    const ledger = { ...fabric.ledger, token: () => Promise.reject(new TypeError("a secret path")) };
    api = await start({ ledger });
    client = connect();
    const answer = await refused();
    expectProblem(answer, "INTERNAL", 500);
    expect(JSON.stringify(answer.body)).not.toContain("secret path");
  });
});

describe("a poll is refused", () => {
  it("to all but the key that joined", async () => {
    const requestId = await ask();
    expectProblem(await client.poll(createTestNode(), requestId), "NOT_FOUND", 404);
    expectProblem(await client.poll(node, "nobody-00000000"), "NOT_FOUND", 404);
    expectProblem(await client.poll(node, "..%2f..%2fetc"), "NOT_FOUND", 404);
    const impostor = pollCall(fabric, createTestNode(), requestId, 0);
    const headers = { ...impostor.headers, "saf-fingerprint": node.fingerprint };
    expectProblem(await client.send({ ...impostor, headers }), "SIGNATURE_INVALID", 401);
  });

  it("when it is replayed, out of date, unsigned, or asks nonsense", async () => {
    const requestId = await ask();
    const call = pollCall(fabric, node, requestId, 0);
    expect((await client.send<unknown>(call)).status).toBe(200);
    expectProblem(await client.send(call), "REPLAYED", 409);
    const old = pollCall({ ...fabric, clock: { now: START - 301 } }, node, requestId, 0);
    expectProblem(await client.send(old), "TIMESTAMP_OUT_OF_RANGE", 401);
    const longer = {
      ...pollCall(fabric, node, requestId, 0),
      path: `${JOIN_PATH}/${requestId}?waitSeconds=20`,
    };
    expectProblem(await client.send(longer), "SIGNATURE_INVALID", 401);
    expectProblem(await client.send({ method: "GET", path: call.path }), "SIGNATURE_INVALID", 401);
    const nonsense: Call = { ...call, path: call.path.replace("=0", "=forever") };
    expectProblem(await client.send(nonsense), "BODY_INVALID", 400);
  });

  it("at any other place or method", async () => {
    expectProblem(await client.send({ method: "GET", path: "/" }), "NOT_FOUND", 404);
    expectProblem(await client.send({ method: "GET", path: JOIN_PATH }), "NOT_FOUND", 404);
    expectProblem(await client.send({ method: "GET", path: "/%zz" }), "BODY_INVALID", 400);
  });
});

describe("a database that is away", () => {
  it("is said at once, and the same request is taken when it is back", async () => {
    const away = { ...fabric.ledger };
    const failing = { ...away };
    let gone = true;
    const unavailable = Object.assign(new Error("away"), { code: "LEDGER_UNAVAILABLE" });
    failing.token = (name) => (gone ? Promise.reject(unavailable) : away.token(name));
    api = await start({ ledger: failing });
    client = connect();
    const call = await joinCall(fabric, node, token);
    expectProblem(await client.send(call), "LEDGER_UNAVAILABLE", 503);
    gone = false;
    expect((await client.send<unknown>(call)).status).toBe(202);
  });
});

describe("limits", () => {
  it("of a source hold for it alone, and say when to come again", async () => {
    api = await start({ limits: { requestsPerSource: { burst: 3, perSecond: 0.1 } } });
    const noisy = connect(api, "127.0.0.2");
    const calm = connect(api, "127.0.0.3");
    for (let index = 0; index < 3; index += 1)
      expectProblem(await noisy.send({ method: "GET", path: "/" }), "NOT_FOUND", 404);
    const refused = await noisy.join(node, token);
    expectProblem(refused, "RATE_LIMITED", 429);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    expect((await calm.join<unknown>(node, token)).status).toBe(202);
    expect(api.refusals()).toMatchObject({ NOT_FOUND: 3, RATE_LIMITED: 1 });
  });

  it("of a token hold for those who know its secret, and cannot be used up by those who do not", async () => {
    api = await start({ limits: { joinsPerToken: { burst: 2, perSecond: 0.01 } } });
    client = connect();
    for (let index = 0; index < 5; index += 1)
      expectProblem(await client.join(node, token, { secret: "A".repeat(43) }), "TOKEN_UNKNOWN", 401);
    expect((await client.join(createTestNode(), token)).status).toBe(202);
    expect((await client.join(createTestNode(), token)).status).toBe(202);
    expectProblem(await client.join(createTestNode(), token), "RATE_LIMITED", 429);
    const other = await addToken(fabric, { name: "other" });
    expect((await client.join(createTestNode(), other)).status).toBe(202);
  });

  it("of open connections hold by source: one source cannot take every socket", async () => {
    api = await start({ limits: { openPerSource: 3 } });
    const { port } = api.address;
    const sockets = Array.from({ length: 5 }, () =>
      connectTcp({ host: "127.0.0.1", port, localAddress: "127.0.0.2" }),
    );
    ending.push(() => sockets.forEach((socket) => socket.destroy()));
    const closed = sockets.map((socket) => {
      socket.on("error", () => undefined);
      return once(socket, "close");
    });
    await Promise.all([closed[3], closed[4]]);
    expect(api.refusals()["CONNECTION_REFUSED"]).toBe(2);
    const calm = connect(api, "127.0.0.3");
    expect((await calm.join<unknown>(node, token)).status).toBe(202);
  });

  it("of patience hold: silent, half-said and never-ending requests are dropped", async () => {
    api = await start({ limits: { handshakeMs: 300, headersMs: 300, requestMs: 300 } });
    const { address: host, port } = api.address;
    const silent = connectTcp({ host, port });
    const ca = fabric.authority.caCertificatePem;
    const half = connectTls({ host, port, ca });
    const endless = connectTls({ host, port, ca });
    half.write("GET / HTTP/1.1\r\nhost: a\r\n");
    endless.write(
      `POST ${JOIN_PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{`,
    );
    const sockets = [silent, half, endless];
    ending.push(() => sockets.forEach((socket) => socket.destroy()));
    await Promise.all(
      sockets.map((socket) => {
        socket.on("error", () => undefined);
        socket.resume();
        return once(socket, "close");
      }),
    );
  });

  it("of waiting polls hold: one more is answered at once", async () => {
    api = await start({ limits: { waiting: 1 } });
    client = connect();
    const first = await ask();
    const hanging = client.poll(node, first, 20);
    const second = createTestNode();
    const { body } = await client.join<JoinAccepted>(second, token);
    await delay(100);
    const from = performance.now();
    expect((await client.poll(second, body.requestId, 20)).body).toEqual({ state: "pending" });
    expect(performance.now() - from).toBeLessThan(5_000);
    await decide(first, "Denied", "done");
    expect((await hanging).body).toMatchObject({ state: "denied" });
  });

  it("do not hold a place for a poll whose client is gone", async () => {
    api = await start({ limits: { waiting: 1 } });
    client = connect();
    const requestId = await ask();
    const leaving = new AbortController();
    const left = client.poll(node, requestId, 20, leaving.signal);
    await delay(100);
    leaving.abort();
    await expect(left).rejects.toThrow(/abort/);
    const from = performance.now();
    expect((await client.poll(node, requestId, 1)).body).toEqual({ state: "pending" });
    expect(performance.now() - from).toBeGreaterThanOrEqual(900);
  });
});

describe("closing", () => {
  it("answers the polls that wait, and leaves nothing open", async () => {
    const requestId = await ask();
    const waiting = client.poll(node, requestId, 20);
    await delay(100);
    const from = performance.now();
    const outcome = waiting.then(
      ({ body }) => body.state,
      () => "closed",
    );
    await api.close();
    expect(["pending", "closed"]).toContain(await outcome);
    expect(performance.now() - from).toBeLessThan(2_000);
    await expect(client.poll(node, requestId)).rejects.toThrow();
  });
});

describe("a pod that joins with its projected token", () => {
  const TOKEN = "good.pod.token";
  const joinAs = <Body>(of: TestNode, overrides: Partial<JoinBody> = {}) =>
    client.join<Body>(of, token, {
      tokenId: undefined,
      secret: undefined,
      serviceAccountToken: TOKEN,
      requestedRoles: [],
      ...overrides,
    });

  beforeEach(() => {
    world.policies = [policy];
    node = createTestNode("worker-1-example");
  });

  it("is admitted as pending, once for each pod, and its request says who vouched", async () => {
    const answer = await joinAs<JoinAccepted>(node);
    expect([answer.status, answer.body.state]).toEqual([202, "pending"]);
    expect(await fabric.ledger.joinRequest(answer.body.requestId)).toMatchObject({
      tokenName: null,
      pod: { uid: "pod-uid-1", node: "worker-1.example", source: "127.0.0.1", fromNode: true },
    });
    expect((await joinAs<JoinAccepted>(node)).body).toEqual(answer.body);
    expect(joined).toEqual([answer.body.requestId]);
    expectProblem(await joinAs(createTestNode("worker-1-example")), "POD_ALREADY_USED", 409);
    const [refusal, admission] = await fabric.ledger.listAudit(2);
    expect(refusal).toMatchObject({
      actor: "serviceaccount/fabric/fabric-agent",
      action: "AttestationRefused",
      subject: "pod/fabric/agent-x7",
    });
    expect(admission).toMatchObject({
      actor: "serviceaccount/fabric/fabric-agent",
      action: "JoinRequested",
      detail: { pod: "agent-x7", podUid: "pod-uid-1", node: "worker-1.example" },
    });
  });

  it("whose host is a member already by another key is refused, and its pod is not used up", async () => {
    const { body } = await joinAs<JoinAccepted>(node);
    const nodeId = await decide(body.requestId, "Approved");
    world.pods.set("fabric/agent-x7", { ...pod, metadata: { name: "agent-x7", uid: "pod-uid-2" } });
    const extra = { ...reviewed.user?.extra, "authentication.kubernetes.io/pod-uid": ["pod-uid-2"] };
    world.reviews.set(TOKEN, { ...reviewed, user: { ...reviewed.user, extra } });
    // The same key on the same host: the successor of the pod has nothing to do.
    expect((await joinAs<JoinAccepted>(node)).body).toEqual(body);
    const lost = createTestNode("worker-1-example");
    expectProblem(await joinAs(lost), "NODE_NAME_TAKEN", 409);
    await fabric.ledger.removeIdentity(fabric.term, { nodeId, actor: "alice", reason: "", ...unnamed });
    expect((await joinAs(lost)).status).toBe(202);
    expectProblem(await joinAs(node), "REVOKED", 403);
  });

  it("from another host's address is refused", async () => {
    world.nodes.set("worker-1.example", {
      ...kubernetesNode,
      status: { addresses: [{ type: "InternalIP", address: "127.0.0.7" }] },
    });
    expectProblem(await joinAs(node), "SOURCE_NOT_NODE", 403);
    const there = connect(api, "127.0.0.7");
    const fields = { tokenId: undefined, secret: undefined, serviceAccountToken: TOKEN, requestedRoles: [] };
    expect((await there.join(node, token, fields)).status).toBe(202);
  });

  it("gets only the roles that its policy allows", async () => {
    expectProblem(await joinAs(node, { requestedRoles: ["relay"] }), "ROLE_NOT_ALLOWED", 403);
    world.policies = [{ ...policy, allowedRoles: ["relay"] }];
    expect((await joinAs(node, { requestedRoles: ["relay"] })).status).toBe(202);
  });

  it.each<[string, string, number, Partial<JoinBody>]>([
    ["two proofs", "BODY_INVALID", 400, { tokenId: "lab", secret: "s".repeat(43) }],
    ["half a join token", "BODY_INVALID", 400, { serviceAccountToken: undefined, tokenId: "lab" }],
    ["no proof", "BODY_INVALID", 400, { serviceAccountToken: undefined }],
    ["what is no JWT", "BODY_INVALID", 400, { serviceAccountToken: "good" }],
    ["a token of 9 KiB", "BODY_INVALID", 400, { serviceAccountToken: `a.${"b".repeat(9000)}.c` }],
    ["a token that nobody issued", "SERVICE_ACCOUNT_TOKEN_REFUSED", 401, { serviceAccountToken: "a.b.c" }],
    ["another name", "NODE_NAME_MISMATCH", 403, { nodeName: "worker-2-example" }],
  ])("with %s is refused", async (_what, code, status, overrides) => {
    expectProblem(await joinAs(node, overrides), code, status);
    expect(await fabric.ledger.listJoinRequests()).toEqual([]);
  });

  it("is not reviewed before its request is proved to be signed, nor where no account may join", async () => {
    const call = await joinCall(fabric, node, token, {
      tokenId: undefined,
      secret: undefined,
      serviceAccountToken: TOKEN,
    });
    const other = createTestNode("worker-1-example");
    const forged = signRequest(
      { method: "POST", target: JOIN_PATH, body: call.body ?? "" },
      other.key,
      fabric.clock.now,
    );
    expectProblem(
      await client.send({ ...call, headers: { ...call.headers, ...forged } }),
      "CSR_KEY_MISMATCH",
      400,
    );
    world.policies = [];
    expectProblem(await joinAs(node), "SERVICE_ACCOUNTS_OFF", 403);
    expect(world.calls).toEqual([]);
  });

  it("waits while the API server cannot be asked", async () => {
    world.failure = "UNAVAILABLE";
    expectProblem(await joinAs(node), "ATTESTATION_UNAVAILABLE", 503);
  });
});
