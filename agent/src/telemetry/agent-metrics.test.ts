import { readFileSync } from "node:fs";
import type { Event, PeerState, State } from "@saf/engine";
import { readOpenMetrics, type Family } from "@saf/telemetry/testing";
import type { StatusView } from "../local-api/views.ts";
import { OPERATOR_PEER } from "../peers/desired.ts";
import { createAgentMetrics } from "./agent-metrics.ts";

const NOW = 1_800_000_000;
const PEER = "5d1f4f0e-7d7a-4d55-9a3e-0f6f4f2a9c11";
const status = {
  state: "degraded",
  nodeName: "home-a",
  operator: { connected: false, lastAckAt: NOW - 60, endpoints: ["192.0.2.1:7443"] },
  snapshot: { term: 2, epoch: 7, issuedAt: NOW - 3600, expiresAt: NOW + 3600 },
  certificate: { notBefore: NOW - 3600, notAfter: NOW + 7200 },
  engine: { connected: true },
  names: { zone: "home.fabric.internal", problem: null },
  peers: { known: 2, direct: 1 },
  documents: { accepted: 3, refused: { STALE: 1 } },
} as unknown as StatusView;

const peer = (id: string, more: Partial<PeerState>): PeerState =>
  ({
    id,
    session: "ready",
    classes: {},
    dropped: {},
    rxDatagrams: 0,
    rxDatagramBytes: 0,
    paths: [],
    ...more,
  }) as unknown as PeerState;
const pathOf = (rttMicros: number, state: string) =>
  ({ status: state, rttMicros, jitterMicros: 100, lostPermille: 5 }) as unknown as PeerState["paths"][number];
const engine = (txPackets: number) =>
  ({
    instanceId: "one",
    startedAtMs: (NOW - 100) * 1000,
    pressure: {
      level: "warning",
      score: 70,
      reasons: [{ reason: "queue.bulk", score: 70 }],
      classes: { bulk: "warning" },
    },
    counters: { connections: 3, handshakesRefused: txPackets, "dropped.noRoute": 1 },
    peers: [
      peer(OPERATOR_PEER, {}),
      peer(PEER, {
        classes: {
          bulk: {
            txPackets,
            txBytes: 9,
            rxPackets: 0,
            rxBytes: 0,
            dropped: { queueFull: 1 },
            queuedBytes: 4096,
          },
        },
        dropped: { queueFull: 1 },
        paths: [pathOf(2000, "active"), pathOf(9000, "backup")],
      }),
      peer("b", { session: "none" }),
    ],
  }) as unknown as State;

const valueOf = (families: ReadonlyMap<string, Family>, name: string, labels: object = {}) =>
  families
    .get(name.replace(/_total$/, ""))
    ?.samples.find(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value;

function bench() {
  let seen: State | null = null;
  const metrics = createAgentMetrics({ status: () => status, engine: () => seen });
  const look = (state: State | null): void => {
    seen = state;
    if (state) metrics.engineSeen(state);
  };
  const read = async () => readOpenMetrics(await metrics.collect());
  return { metrics, look, read };
}

it("tells node, engine, traffic and paths", async () => {
  const { look, read } = bench();
  look(engine(10));
  look(engine(15));
  const families = await read();
  const value = (name: string, labels?: object) => valueOf(families, name, labels);
  expect(value("fabric_agent_state", { state: "degraded" })).toBe(1);
  expect(value("fabric_agent_state", { state: "running" })).toBe(0);
  expect(value("fabric_agent_snapshot_expiry_timestamp_seconds")).toBe(NOW + 3600);
  expect(value("fabric_agent_certificate_expiry_timestamp_seconds")).toBe(NOW + 7200);
  expect(value("fabric_agent_documents_total", { result: "STALE" })).toBe(1);
  expect(value("fabric_engine_packets_total", { direction: "sent", class: "bulk" })).toBe(5);
  expect(value("fabric_engine_handshakes_refused_total")).toBe(5);
  expect(value("fabric_engine_peers", { session: "ready" })).toBe(1);
  expect(value("fabric_engine_queued_bytes", { class: "bulk" })).toBe(4096);
  expect(value("fabric_engine_path_rtt_seconds", { statistic: "max" })).toBe(0.002);
  expect(value("fabric_engine_class_pressure_level", { class: "bulk" })).toBe(1);
  expect(value("fabric_engine_pressure_reason_score", { reason: "queue.bulk" })).toBe(70);
  expect(valueOf(await read(), "fabric_agent_documents_total", { result: "accepted" })).toBe(3);
});

it("says nothing of an engine that is not there, and keeps what was counted", async () => {
  const { look, read } = bench();
  look(engine(0));
  look(engine(4));
  look(null);
  const families = await read();
  expect(valueOf(families, "fabric_engine_pressure_score")).toBeUndefined();
  expect(valueOf(families, "fabric_engine_packets_total", { direction: "sent" })).toBe(4);
});

it("never names a peer, an address or whatever else somebody makes up", async () => {
  const { metrics, look, read } = bench();
  look(engine(1));
  look(engine(2));
  const events: Event[] = [
    { type: "sessionReady", peer: PEER, remote: "203.0.113.9:7443", remoteAuthority: { term: 1, epoch: 1 } },
    { type: "sessionClosed", peer: PEER, code: "home-b", message: "secret" },
    { type: "pathChanged", peer: PEER, remote: "203.0.113.9:7443", status: "closed", reason: "timeout" },
    {
      type: "refused",
      remote: "203.0.113.9:1",
      code: "PIN_MISMATCH",
      spiffeId: "spiffe://x/home-b",
      count: 3,
    },
  ];
  events.forEach(metrics.engineEvent);
  metrics.error("ENGINE_UNREACHABLE");
  const text = await metrics.collect();
  for (const name of [PEER, "203.0.113.9", "home-a", "home-b", "192.0.2.1", "spiffe:", "home.fabric"])
    expect(text).not.toContain(name);
  const families = await read();
  expect(valueOf(families, "fabric_agent_session_events_total", { event: "closed", code: "other" })).toBe(1);
  expect(valueOf(families, "fabric_agent_handshakes_refused_total", { code: "PIN_MISMATCH" })).toBe(3);
  expect(valueOf(families, "fabric_agent_path_events_total", { status: "closed", reason: "timeout" })).toBe(
    1,
  );
});

describe("the bounds of labels are what the engine can say", () => {
  const source = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
  const labelsIn = (path: string, type: string): string[] =>
    [...source(path).matchAll(new RegExp(`${type}::\\w+ => "(\\w+)"`, "g"))].map(([, label = ""]) => label);
  const boundOf = (metric: string, label: string): readonly string[] => {
    const { set } = createAgentMetrics({ status: () => status, engine: () => null });
    const bound = set.described.find(({ name }) => name === metric)?.labels[label];
    if (!Array.isArray(bound)) throw new Error(`${metric} has no list for ${label}`);
    return bound as readonly string[];
  };

  it.each([
    ["fabric_engine_dropped_packets_total", "reason", "engine/src/policy/mod.rs", "DropReason"],
    ["fabric_engine_queued_bytes", "class", "engine/src/lanes/class.rs", "TrafficClass"],
  ])("%s: %s", (metric, label, path, type) => {
    const said = labelsIn(path, type);
    expect(said.length).toBeGreaterThan(5);
    expect([...boundOf(metric, label)].sort()).toEqual(said.sort());
  });

  it("reasons of paths and of pressure", () => {
    const reasons = labelsIn("engine/src/quic/paths/reason.rs", "PathReason");
    expect([...boundOf("fabric_agent_path_events_total", "reason")].sort()).toEqual(
      ["none", ...reasons].sort(),
    );
    const pressure = [...source("engine/src/pressure/mod.rs").matchAll(/Reason::\w+ => "(\w+)"\.to_owned/g)];
    expect(pressure.length).toBeGreaterThan(5);
    for (const [, reason = ""] of pressure)
      expect(boundOf("fabric_engine_pressure_reason_score", "reason")).toContain(reason);
  });
});
