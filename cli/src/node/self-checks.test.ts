/** What `fabric netcheck`, `smoke` and `bundle` make of what an agent says; hosts and peers are played by the test. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { NetworkInterfaceInfo } from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiagnosticsView, PathView, PeerView } from "@saf/agent";
import { createToken } from "@saf/protocol";
import { EXIT } from "../errors.ts";
import { runFabric } from "../program.ts";
import { natOf, netcheck, renderNetcheck, type NetcheckProbes } from "./netcheck.ts";
import type { Reach } from "./reach.ts";
import { smoke, type SmokeProbes } from "./smoke.ts";

const NOW = 1_800_000_000;
const path = (remote: string, status: PathView["status"] = "active"): PathView => ({
  remote,
  local: null,
  status,
  rttMicros: 84_200,
  jitterMicros: 900,
  lostPermille: 5,
  bytesPerSecond: 0,
  lastHeardAt: NOW,
  mtu: 1452,
});
const peer = (name: string, number: number, more: Partial<PeerView> = {}): PeerView =>
  ({
    name,
    nodeId: name,
    addresses: { ipv4: `100.96.0.${number}`, ipv6: `fd5a::${number}` },
    session: "ready",
    paths: [path("198.51.100.21:7443"), path("[2001:db8::21]:7443", "backup")],
    lastFailure: null,
    ...more,
  }) as PeerView;
const usa = peer("usa-1", 6);
const lost = peer("test-1", 7, {
  session: "connecting",
  paths: [],
  lastFailure: { code: "HANDSHAKE_TIMEOUT", message: "", at: NOW },
});
const view = (more: { status?: object; peers?: PeerView[]; engine?: object | null } = {}): DiagnosticsView =>
  ({
    status: {
      state: "running",
      reasonCode: null,
      nodeName: "home-a",
      agentVersion: "0.1.0",
      addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
      snapshot: { term: 1, epoch: 7, issuedAt: NOW - 10, expiresAt: NOW + 3600 },
      certificate: { notBefore: NOW - 10, notAfter: NOW + 7200 },
      operator: {
        connected: true,
        lastAckAt: NOW - 2,
        endpoints: ["192.0.2.1:7443"],
        observed: "203.0.113.10:7443",
        session: null,
      },
      engine: { connected: true, version: "0.1.0", interface: "fabric0" },
      names: {
        zone: "home.fabric.internal",
        mode: "systemd-resolved",
        server: "127.0.0.74:53",
        problem: null,
      },
      ...more.status,
    },
    peers: { peers: more.peers ?? [usa] },
    engine:
      more.engine === undefined
        ? {
            listen: ["0.0.0.0:7443"],
            tunnel: { interface: "fabric0" },
            peers: [{ id: "operator", paths: [path("192.0.2.1:7443")] }],
          }
        : more.engine,
    config: { listenPort: 7443 },
    facts: {},
    health: { live: { ok: true }, ready: { ok: true } },
    log: [],
  }) as unknown as DiagnosticsView;

const nic = (address: string) => ({ address, internal: false }) as NetworkInterfaceInfo;
const resolves = async (_server: string, name = _server) => {
  const number = name.startsWith("usa-1") ? 6 : 5;
  return { addresses: [`100.96.0.${number}`, `fd5a::${number}`], problem: null };
};
const silent = async () => ({ addresses: [], problem: "ETIMEOUT" });
const netProbes = (more: Partial<NetcheckProbes> = {}): NetcheckProbes => ({
  interfaces: () => ({ eth0: [nic("192.168.77.11"), nic("fe80::1")], fabric0: [nic("100.96.0.5")] }),
  mtuOf: () => 1500,
  askServer: resolves,
  askHost: (name) => resolves(name),
  ...more,
});
const results = (findings: readonly { what: string; result: string }[]) =>
  Object.fromEntries(findings.map(({ what, result }) => [what, result]));

describe("netcheck", () => {
  it("says which families work, where the operator sees the node, and how each peer is reached", async () => {
    const report = await netcheck(view(), netProbes());
    expect(report).toMatchObject({
      families: { ipv4: { addresses: ["192.168.77.11"], paths: 2 }, ipv6: { addresses: [], paths: 1 } },
      mapped: { endpoint: "203.0.113.10:7443", nat: "port kept" },
      operator: { connected: true, via: "192.0.2.1:7443" },
      interfaces: [{ name: "eth0", mtu: 1500 }],
      peers: [{ name: "usa-1", via: "198.51.100.21:7443", family: "ipv4", mtu: 1452, paths: 2 }],
    });
    expect(new Set(report.findings.map(({ result }) => result))).toEqual(new Set(["ok"]));
    expect(renderNetcheck(report)).toMatch(
      /^usa-1 +ready +198\.51\.100\.21:7443 +84\.2 ms +900 µs +0\.5 % +1452 +2 +-$/m,
    );
  });

  it.each([
    ["192.0.2.9:7443", "ipv4"],
    ["[2001:db8::9]:7443", "ipv6"],
  ])("tells a path through a relay at %s as what it is", async (relay, family) => {
    const through = `relay:00f1e2d3c4b5a697@${relay}`;
    const report = await netcheck(
      view({ peers: [peer("usa-1", 6, { paths: [path(through)] })] }),
      netProbes(),
    );
    expect(report.peers).toMatchObject([{ via: through, family }]);
  });

  it.each([
    ["192.168.77.11:7443", "none"],
    ["203.0.113.10:7443", "port kept"],
    ["203.0.113.10:60123", "port changed"],
    ["[2001:db8::5]:7443", "none"],
    [null, "unknown"],
  ])("takes being seen at %s for NAT: %s", (observed, nat) => {
    expect(natOf(observed, ["192.168.77.11", "2001:db8::5"], ["0.0.0.0:7443", "[::]:7443"])).toBe(nat);
  });

  it("names what does not work", async () => {
    const broken = view({
      status: {
        operator: { connected: false, lastAckAt: null, endpoints: [], observed: null, session: null },
      },
      peers: [usa, lost],
      engine: { listen: ["0.0.0.0:7000"], peers: [] },
    });
    const { findings } = await netcheck(broken, netProbes({ askServer: silent, askHost: silent }));
    expect(results(findings)).toMatchObject({
      "UDP port": "fail",
      "mapped address": "warn",
      operator: "fail",
      peers: "fail",
      names: "fail",
    });
  });
});

describe("smoke", () => {
  const answers: Reach = { answered: true, by: "ping", rttMs: 1.25 };
  const probes = (more: Partial<SmokeProbes> = {}): SmokeProbes => ({
    reach: async () => answers,
    askServer: resolves,
    askHost: (name) => resolves(name),
    ...more,
  });
  const run = (seen: DiagnosticsView, more?: Partial<SmokeProbes>, only: string[] = []) =>
    smoke(seen, probes(more), { only, nowSeconds: NOW });

  it("passes a node that does everything", async () => {
    const findings = await run(view());
    expect(results(findings)).toEqual({
      agent: "ok",
      engine: "ok",
      snapshot: "ok",
      certificate: "ok",
      "control session": "ok",
      "peer usa-1": "ok",
      "name home-a.home.fabric.internal": "ok",
      "name usa-1.home.fabric.internal": "ok",
      resolver: "ok",
    });
  });

  it.each<[string, Parameters<typeof view>[0], Partial<SmokeProbes>, string]>([
    [
      "an expired snapshot",
      { status: { snapshot: { term: 1, epoch: 7, issuedAt: 0, expiresAt: NOW } } },
      {},
      "snapshot",
    ],
    ["an engine that is gone", { status: { engine: { connected: false } } }, {}, "engine"],
    ["a peer without a session", { peers: [lost] }, {}, "peer test-1"],
    [
      "a peer that is silent by IPv6",
      {},
      { reach: async (address) => ({ ...answers, answered: !address.includes(":") }) },
      "peer usa-1",
    ],
    [
      "a name that means something else",
      {},
      { askServer: async () => ({ addresses: ["192.0.2.9"], problem: null }) },
      "name home-a.home.fabric.internal",
    ],
    ["a resolver that does not know", {}, { askHost: silent }, "resolver"],
  ])("fails on %s", async (_, seen, more, what) => {
    expect(results(await run(view(seen), more))[what]).toBe("fail");
  });

  it("asks only the peers that it is told, and says when there is no such peer", async () => {
    const findings = results(await run(view({ peers: [usa, lost] }), {}, ["usa-1", "moon-1"]));
    expect(findings).toMatchObject({ "peer usa-1": "ok", "peer moon-1": "fail" });
    expect(findings).not.toHaveProperty("peer test-1");
  });
});

describe("fabric bundle", () => {
  const { token } = createToken({ id: "rack-7", pin: "p".repeat(43) });
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
  const jwt = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.${"s".repeat(86)}`;
  const secrets = [token.split(".")[2] ?? "", pem.split("\n")[1] ?? "", jwt.slice(30), "hunter22"];
  let directory: string;
  let server: Server;
  let said: DiagnosticsView;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "saf-bundle-"));
    said = { ...view(), log: [`{"msg":"joining"}`] };
    server = createServer((_, response) => response.end(JSON.stringify(said)));
    await new Promise<void>((resolve) => server.listen(join(directory, "agent.sock"), resolve));
  });
  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  async function bundle(socket = "agent.sock") {
    let [stdout, stderr] = ["", ""];
    const terminal = {
      stdout: (text: string) => (stdout += text),
      stderr: (text: string) => (stderr += text),
    };
    const file = join(directory, "bundle.tar.gz");
    const args = ["--socket", join(directory, socket), "-o", "json", "bundle", "--file", file];
    const code = await runFabric(args, { terminal, now: () => NOW });
    return { code, stdout, stderr, file };
  }
  const contents = (file: string): string =>
    execFileSync("tar", ["-xzOf", file], { maxBuffer: 64 * 1024 * 1024 }).toString("utf8");

  it("packs status, peers, engine, configuration, log, versions and the host, for its owner alone", async () => {
    const { code, stdout, file } = await bundle();
    expect(code).toBe(EXIT.ok);
    const { entries } = JSON.parse(stdout) as { entries: string[] };
    for (const name of ["status", "peers", "engine", "config", "facts", "health", "netcheck"])
      expect(entries).toContain(`agent/${name}.json`);
    expect(entries).toEqual(expect.arrayContaining(["agent/agent.log", "versions.json", "host/uname.txt"]));
    expect(execFileSync("tar", ["-tzf", file]).toString().trim().split("\n")).toHaveLength(entries.length);
    expect(contents(file)).toContain('"nodeName": "home-a"');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("has none of the secrets that slipped into what the agent says", async () => {
    const leaky = `cannot use ${token} with ${pem}: postgresql://saf:hunter22@db/ledger, Bearer ${jwt}`;
    said = {
      ...said,
      config: { join: { token }, note: leaky },
      status: { ...said.status, reason: leaky },
      log: [JSON.stringify({ msg: leaky, password: "hunter22" }), leaky],
    };
    const { file } = await bundle();
    const text = contents(file);
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(text).toContain("cannot use saf1.rack-7.");
  });

  it("packs the host when no agent answers, and says so in it", async () => {
    const { code, stdout, file } = await bundle("none.sock");
    expect(code).toBe(EXIT.ok);
    expect((JSON.parse(stdout) as { entries: string[] }).entries).toContain("agent-failed.txt");
    expect(contents(file)).toContain("AGENT_UNREACHABLE");
  });

  it("leaves a file alone that is there", async () => {
    const { file } = await bundle();
    const before = readFileSync(file);
    const { code, stderr } = await bundle();
    expect([code, stderr]).toEqual([EXIT.failure, expect.stringContaining("BUNDLE_NOT_WRITTEN")]);
    expect(readFileSync(file)).toEqual(before);
  });
});
