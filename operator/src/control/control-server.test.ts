import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Desired, Event, State } from "@saf/engine";
import type { Authority } from "../authority/authority.ts";
import type { Identity } from "../ledger/ledger.ts";
import { LedgerError } from "../ledger/errors.ts";
import { ManualClock, settle } from "../kube/manual-clock.ts";
import { createOperatorTelemetry } from "../telemetry/operator-telemetry.ts";
import { createControlServer } from "./control-server.ts";
import type { EnginePort } from "./engine-port.ts";
import { createFleet } from "./fleet.ts";
import { createIdentityDirectory } from "./identity-directory.ts";

const identity = (nodeName: string, status: Identity["status"] = "Active"): Identity => ({
  nodeId: `id-${nodeName}`,
  nodeName,
  requestId: nodeName,
  fingerprint: `key-${nodeName}`,
  addresses: { ipv4: "100.96.0.2", ipv6: "fd5a::2" },
  area: null,
  status,
  reason: null,
  createdAt: 0,
  certificateNotAfter: null,
});

/** An engine that a test plays by hand. */
function engineWith(up: Record<string, string> = {}) {
  const gone = Promise.withResolvers<void>();
  const applied: Desired[] = [];
  const sent: [string, string][] = [];
  let tell = (_event: Event): void => undefined;
  let stopped = false;
  const peers = Object.entries(up).map(([id, remote]) => ({ id, remote, session: "ready" }));
  const port: EnginePort = {
    describe: async () => ({ peers }) as unknown as State,
    apply: async (desired) => applied.push(desired),
    send: async (peer, kind) => sent.push([peer, kind]),
    stop: async () => (stopped = true),
    onEvent: (listener) => (tell = listener),
    closed: gone.promise,
    close: gone.resolve,
  };
  return {
    port,
    applied,
    sent,
    crash: gone.resolve,
    tell: (event: Event) => tell(event),
    stopped: () => stopped,
  };
}

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "saf-control-"))));
afterEach(() => rmSync(dir, { recursive: true }));

function bench(engines: ReturnType<typeof engineWith>[], issue?: Authority["issueControlCertificate"]) {
  const clock = new ManualClock();
  const fleet = createFleet();
  const ledger = { identities: [identity("a"), identity("b", "Revoked")] };
  const identities = createIdentityDirectory({
    identities: async () => ledger.identities,
    endedIdentities: async () => [],
  });
  const fenced: unknown[] = [];
  const asked = Promise.withResolvers<void>();
  const certificates: number[] = [];
  const server = createControlServer({
    connect: async () => {
      asked.resolve();
      const next = engines.shift();
      if (!next) throw new Error("there is no engine");
      return next.port;
    },
    keyFile: join(dir, "control.key"),
    trustDomain: "home.example",
    authority: {
      term: 3,
      caCertificatePem: "CA",
      control: { spiffeId: "spiffe://home.example/operator/control", fingerprint: "op", keyPem: "KEY" },
      issueControlCertificate:
        issue ??
        (async () => {
          certificates.push(clock.nowMs());
          return { chainPem: ["leaf", "CA"], notAfter: clock.nowMs() / 1000 + 86_400, serial: "1" };
        }),
    } as unknown as Authority,
    identities,
    fleet,
    epoch: () => 9,
    clock,
    random: () => 0,
    log: pino({ level: "silent" }),
    telemetry: createOperatorTelemetry({ durationMs: 6000 }),
    onRenewed: () => undefined,
    onFenced: (error) => fenced.push(error),
  });
  const end = new AbortController();
  const start = async (): Promise<() => Promise<void>> => {
    await identities.refresh();
    const running = server.run(end.signal);
    // The key file is written before the engine is asked for.
    await asked.promise;
    await settle();
    return async () => (end.abort(), await running);
  };
  return { clock, fleet, ledger, identities, server, fenced, certificates, start };
}

it("lets in the members, refuses the revoked, and gives the engine its key", async () => {
  const engine = engineWith();
  const { start } = bench([engine]);
  const stop = await start();
  expect(engine.applied[0]).toMatchObject({
    authority: { term: 3, epoch: 9 },
    identity: { spiffeId: "spiffe://home.example/operator/control", certificateChainPem: ["leaf", "CA"] },
    tunnel: null,
    peers: [
      {
        id: "id-a",
        spiffeId: "spiffe://home.example/node/id-a",
        fingerprint: "key-a",
        candidates: [],
        remotePrefixes: [],
      },
    ],
    revoked: ["key-b"],
  });
  expect(readFileSync(join(dir, "control.key"), "utf8")).toBe("KEY");
  expect(statSync(join(dir, "control.key")).mode & 0o777).toBe(0o640);
  await stop();
});

it("finds the sessions that are up already", async () => {
  const engine = engineWith({ "id-a": "203.0.113.7:1" });
  const { start, fleet } = bench([engine]);
  const stop = await start();
  expect(fleet.connected()).toEqual(["id-a"]);
  await stop();
});

it("applies again when members change, and before what it applied runs out", async () => {
  const engine = engineWith();
  const { start, ledger, identities, server, clock } = bench([engine]);
  const stop = await start();
  ledger.identities = [identity("a"), identity("c")];
  await identities.refresh();
  server.changed();
  await clock.advance(10);
  expect(engine.applied.at(-1)?.peers.map(({ id }) => id)).toEqual(["id-a", "id-c"]);
  const before = engine.applied.length;
  await clock.advance(60_000);
  expect(engine.applied.length - before).toBeGreaterThanOrEqual(5);
  for (const [index, { revision, expiresAtMs }] of engine.applied.entries()) {
    expect(revision).toBeGreaterThan(engine.applied[index - 1]?.revision ?? 0);
    expect(expiresAtMs).toBeGreaterThan(0);
  }
  await stop();
});

it("renews its own certificate in time", async () => {
  const engine = engineWith();
  const { start, clock, certificates } = bench([engine]);
  const stop = await start();
  for (let hour = 0; hour < 13; hour += 1) await clock.advance(3_600_000);
  expect(certificates).toHaveLength(2);
  await stop();
});

it("comes back when the engine does", async () => {
  const [first, second] = [engineWith({ "id-a": "203.0.113.7:1" }), engineWith()];
  const { start, fleet, clock } = bench([first, second]);
  const stop = await start();
  first.crash();
  await settle();
  expect(fleet.connected()).toEqual([]);
  await clock.advance(2_000);
  expect(second.applied).toHaveLength(1);
  second.tell({
    type: "sessionReady",
    peer: "id-a",
    remote: "203.0.113.7:2",
    remoteAuthority: { term: 1, epoch: 1 },
  });
  expect(fleet.facts("id-a").session?.remote).toBe("203.0.113.7:2");
  await stop();
});

it("sends only into a session", async () => {
  const engine = engineWith({ "id-a": "203.0.113.7:1" });
  const { start, server } = bench([engine]);
  const stop = await start();
  const document = { kind: "document", body: { jws: "x" } } as const;
  expect(await server.send("id-a", document)).toBe(true);
  engine.tell({ type: "sessionClosed", peer: "id-a", code: "IDLE_TIMEOUT", message: "" });
  expect(await server.send("id-a", document)).toBe(false);
  expect(engine.sent).toEqual([["id-a", "document"]]);
  await stop();
});

it("ends the sessions when it ends", async () => {
  const engine = engineWith({ "id-a": "203.0.113.7:1" });
  const { start, fleet } = bench([engine]);
  const stop = await start();
  await stop();
  expect(engine.stopped()).toBe(true);
  expect(fleet.connected()).toEqual([]);
});

it("says so when it is fenced", async () => {
  const engine = engineWith();
  const { start, fenced } = bench([engine], async () => {
    throw new LedgerError("FENCED", "another term");
  });
  const stop = await start();
  expect(fenced).toHaveLength(1);
  expect(engine.applied).toHaveLength(0);
  await stop();
});
