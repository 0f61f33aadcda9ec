/** The node's side of `fabric` against an agent's local API that answers from a script: progress, outcome, exit codes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PathView, PeersView, StatusView } from "@saf/agent";
import { createToken } from "@saf/protocol";
import { EXIT } from "../errors.ts";
import { runFabric } from "../program.ts";

const NOW = 1_800_000_000;
const { token } = createToken({ id: "rack-7", pin: "p".repeat(43) });

const unenrolled: StatusView = {
  state: "unenrolled",
  reason: null,
  reasonCode: null,
  nodeName: "home-a",
  nodeId: null,
  trustDomain: null,
  fingerprint: "ab".repeat(32),
  addresses: null,
  roles: [],
  area: null,
  snapshot: null,
  operator: { connected: false, lastAckAt: null, endpoints: [], observed: null, session: null },
  certificate: null,
  engine: {
    connected: true,
    version: "0.1.0",
    instanceId: "i",
    interface: null,
    notes: [],
    pressure: null,
    offloads: null,
  },
  peers: { known: 0, direct: 0 },
  names: { zone: null, mode: null, server: "127.0.0.74:53", problem: null },
  join: null,
  documents: { accepted: 0, refused: {} },
  candidates: [],
  lastErrors: [],
  agentVersion: "0.1.0",
  startedAt: NOW - 60,
};
const asked = { server: "https://op.example:8443", tokenId: "rack-7", requestId: "home-a-abababab" };
const pending: StatusView = { ...unenrolled, state: "pending", join: asked };
const running: StatusView = {
  ...unenrolled,
  state: "running",
  nodeId: "3b1c2f0e-7d7a-4d55-9a3e-0f6f4f2a9c11",
  trustDomain: "home.example",
  addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
  roles: ["relay"],
  snapshot: { term: 1, epoch: 7, issuedAt: NOW - 10, expiresAt: NOW + 43_190 },
  operator: {
    connected: true,
    lastAckAt: NOW - 2,
    endpoints: ["192.0.2.1:7443"],
    observed: null,
    session: null,
  },
  certificate: { notBefore: NOW - 3600, notAfter: NOW + 82_800 },
  engine: {
    connected: true,
    version: "0.1.0",
    instanceId: "i",
    interface: "fabric0",
    notes: ["offload tunUdpSegmentation turned off by the configuration"],
    pressure: {
      level: "warning",
      score: 70,
      reasons: [{ reason: "memory", score: 70 }],
      classes: { bulk: "warning" },
    },
    offloads: {
      tunChecksum: true,
      tunTcpSegmentation: true,
      tunUdpSegmentation: false,
      udpSegmentation: true,
      udpCoalescing: true,
    },
  },
  peers: { known: 4, direct: 3 },
  names: { zone: "home.fabric.internal", mode: "systemd-resolved", server: "127.0.0.74:53", problem: null },
};
const path = (remote: string, status: PathView["status"]): PathView => ({
  remote,
  local: null,
  status,
  rttMicros: 84_200,
  jitterMicros: 100,
  lostPermille: 0,
  bytesPerSecond: 0,
  lastHeardAt: NOW,
  mtu: 1452,
});
const peers: PeersView = {
  peers: [
    {
      name: "usa-1",
      nodeId: "x",
      addresses: { ipv4: "100.96.0.6", ipv6: "fd5a::6" },
      session: "ready",
      remote: "203.0.113.5:7443",
      rttMicros: 84_200,
      paths: [path("203.0.113.5:7443", "active"), path("192.168.1.5:7443", "backup")],
      since: NOW - 90,
      bytes: { sent: 1_500_000, received: 900 },
      packets: { sent: 3, received: 4 },
      dropped: { source: 2, queue: 1 },
      classes: {},
      datagrams: { packets: 0, bytes: 0 },
      pressure: null,
      remotePressure: null,
      bulkBytesPerSecond: null,
      lastFailure: null,
    },
  ],
};

let directory: string;
let socket: string;
let server: Server;
let statuses: StatusView[];
let joinAnswer: { status: number; body: unknown };
let received: unknown;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "saf-cli-"));
  socket = join(directory, "agent.sock");
  statuses = [unenrolled];
  joinAnswer = { status: 202, body: { state: "joining" } };
  received = undefined;
  server = createServer((request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (request.url === "/v1/peers") return answer(200, peers);
    if (request.url === "/v1/status")
      return answer(200, statuses.length > 1 ? statuses.shift() : statuses[0]);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received = JSON.parse(Buffer.concat(chunks).toString());
      answer(joinAnswer.status, joinAnswer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

async function fabric(...args: string[]) {
  const out = { stdout: "", stderr: "", code: -1 };
  out.code = await runFabric(["--socket", socket, ...args], {
    terminal: { stdout: (text) => (out.stdout += text), stderr: (text) => (out.stderr += text) },
    now: () => NOW,
  });
  return out;
}

const joinArgs = ["join", "--server", "https://op.example:8443", "--token", token];

describe("fabric status", () => {
  it("says what the node is, in words", async () => {
    statuses = [running];
    const { stdout, code } = await fabric("status");
    expect(code).toBe(EXIT.ok);
    expect(stdout).toMatch(/^State +running$/m);
    expect(stdout).toMatch(/^Addresses +100\.96\.0\.5 fd5a::5$/m);
    expect(stdout).toMatch(/^Snapshot +term 1 epoch 7, expires in 11h59m$/m);
    expect(stdout).toMatch(/^Operator +connected, heard 2s ago$/m);
    expect(stdout).toMatch(/^Peers +3 of 4 direct$/m);
    expect(stdout).toMatch(/^Names +home\.fabric\.internal by systemd-resolved, from 127\.0\.0\.74:53$/m);
    expect(stdout).toMatch(/^Pressure +warning \(70 of 100\), memory 70, bulk warning$/m);
    expect(stdout).toMatch(
      /^Offloads +tunChecksum, tunTcpSegmentation, udpSegmentation, udpCoalescing; without tunUdpSegmentation$/m,
    );
    expect(stdout).toMatch(/^Note +offload tunUdpSegmentation turned off by the configuration$/m);
  });

  it("says why the host does not find the names by itself", async () => {
    const problem = { code: "NAMES_UNUSED", message: "no systemd-resolved" };
    statuses = [{ ...running, names: { ...running.names, mode: null, problem } }];
    const { stdout } = await fabric("status");
    expect(stdout).toMatch(
      /^Names +home\.fabric\.internal, only from 127\.0\.0\.74:53: no systemd-resolved$/m,
    );
  });

  it("gives the agent's own answer as JSON", async () => {
    expect(JSON.parse((await fabric("status", "-o", "json")).stdout)).toEqual(unenrolled);
  });

  it("ends with 5 where no agent answers", async () => {
    const { code, stderr } = await fabric("status", "--socket", join(directory, "none.sock"));
    expect(code).toBe(EXIT.unreachable);
    expect(stderr).toMatch(/^fabric: AGENT_UNREACHABLE: .*\n$/);
  });
});

describe("fabric peers", () => {
  it("shows path and quality", async () => {
    const { stdout } = await fabric("peers");
    const [, row] = stdout.split("\n");
    expect(row?.split(/ {2,}/)).toEqual([
      "usa-1",
      "ready",
      "1m30s",
      "100.96.0.6",
      "203.0.113.5:7443 +1",
      "84.2 ms",
      "1.5 MB",
      "900 B",
      "3",
      "-",
    ]);
  });
});

describe("fabric join", () => {
  it("hands over server, token and roles, says what it waits for, once, and ends as a member", async () => {
    statuses = [{ ...unenrolled, state: "joining" }, pending, pending, running];
    const { code, stdout, stderr } = await fabric(...joinArgs, "--role", "relay");
    expect(received).toEqual({ server: "https://op.example:8443", token, requestedRoles: ["relay"] });
    expect(code).toBe(EXIT.ok);
    expect(stdout).toBe("home-a is a node of home.example, at 100.96.0.5 and fd5a::5\n");
    expect(stderr.split("\n").filter((line) => line.startsWith("pending as home-a-abababab"))).toHaveLength(
      1,
    );
  });

  it("ends with 4 and the reason when it is rejected", async () => {
    statuses = [pending, { ...pending, state: "denied", reason: "who are you?", reasonCode: "DENIED" }];
    const { code, stderr } = await fabric(...joinArgs);
    expect(code).toBe(EXIT.denied);
    expect(stderr).toContain("who are you?");
  });

  it("ends with 1 and the server's code when the token is refused", async () => {
    statuses = [{ ...unenrolled, reason: "the token has expired", reasonCode: "TOKEN_EXPIRED" }];
    const { code, stderr } = await fabric(...joinArgs);
    expect(code).toBe(EXIT.failure);
    expect(stderr).toContain("TOKEN_EXPIRED: the token has expired");
  });

  it("passes on what the agent refuses", async () => {
    const body = {
      type: "about:blank",
      title: "t",
      status: 409,
      code: "ALREADY_ENROLLED",
      detail: "it is a node",
    };
    joinAnswer = { status: 409, body };
    const { code, stderr } = await fabric(...joinArgs, "-o", "json");
    expect(code).toBe(EXIT.failure);
    expect(JSON.parse(stderr)).toEqual({ error: { code: "ALREADY_ENROLLED", message: "it is a node" } });
  });

  it("does not wait when told so, nor longer than told", async () => {
    statuses = [pending];
    expect(await fabric(...joinArgs, "--no-wait")).toMatchObject({ code: EXIT.ok, stderr: "" });
    const { code, stderr } = await fabric(...joinArgs, "--timeout", "1s");
    expect(code).toBe(EXIT.failure);
    expect(stderr).toContain("TIMEOUT: still pending");
  });

  it("reads the token from a file", async () => {
    const file = join(directory, "token");
    await writeFile(file, `${token}\n`);
    const { code } = await fabric(
      "join",
      "--server",
      "https://op.example",
      "--token-file",
      file,
      "--no-wait",
    );
    expect(code).toBe(EXIT.ok);
    expect(received).toMatchObject({ token });
  });

  it.each([
    ["a damaged token", ["join", "--server", "https://op.example", "--token", token.slice(0, -1)]],
    ["a server without TLS", ["join", "--server", "http://op.example", "--token", token]],
    ["no token", ["join", "--server", "https://op.example"]],
    ["no server", ["join", "--token", token]],
    ["an unknown role", [...joinArgs, "--role", "root"]],
    ["an unknown command", ["leave"]],
    ["an unknown format", ["status", "-o", "xml"]],
    ["a reason that says nothing", ["reject", "home-a", "--reason", " "]],
    ["a rejection without reason", ["reject", "home-a"]],
  ])("ends with 2 for %s, and asks nobody", async (_, args) => {
    const { code, stderr } = await fabric(...args);
    expect(code).toBe(EXIT.usage);
    expect(stderr).not.toContain(token.split(".")[2]);
    expect(received).toBeUndefined();
  });
});
