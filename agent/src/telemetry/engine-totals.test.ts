import type { ClassState, PeerState, State } from "@saf/engine";
import { createEngineTotals } from "./engine-totals.ts";

const traffic = (txPackets: number, dropped: Record<string, number> = {}): ClassState => ({
  txPackets,
  txBytes: txPackets * 100,
  rxPackets: 0,
  rxBytes: 0,
  dropped,
  queuedBytes: 0,
});
const peer = (id: string, bulk: ClassState, more: Partial<PeerState> = {}) =>
  ({
    id,
    classes: { bulk },
    dropped: bulk.dropped,
    rxDatagrams: 0,
    rxDatagramBytes: 0,
    ...more,
  }) as PeerState;
const state = (instanceId: string, peers: PeerState[], counters: Record<string, number> = {}) =>
  ({ instanceId, peers, counters }) as State;

function bench() {
  const told: Record<string, number> = {};
  const add =
    (...key: string[]) =>
    (count: number) =>
      (told[key.join(" ")] = (told[key.join(" ")] ?? 0) + count);
  const seen = createEngineTotals({
    packets: (direction, name, count) => add("packets", direction, name)(count),
    bytes: (direction, name, count) => add("bytes", direction, name)(count),
    dropped: (name, reason, count) => add("dropped", name, reason)(count),
    counter: (name, count) => add(name)(count),
  });
  return { told, seen };
}

it("tells only what an engine counted since this agent saw it first", () => {
  const { told, seen } = bench();
  seen(state("one", [peer("a", traffic(1000))], { udpSendErrors: 7 }));
  seen(state("one", [peer("a", traffic(1005))], { udpSendErrors: 8 }));
  expect(told["packets sent bulk"]).toBe(5);
  expect(told["bytes sent bulk"]).toBe(500);
  expect(told["udpSendErrors"]).toBe(1);
});

it("never falls: peers leave and come back, engines restart", () => {
  const { told, seen } = bench();
  seen(state("one", []));
  seen(state("one", [peer("a", traffic(10)), peer("b", traffic(20))]));
  seen(state("one", [peer("b", traffic(21))]));
  expect(told["packets sent bulk"]).toBe(31);
  seen(state("one", [peer("a", traffic(3)), peer("b", traffic(21))])); // counted from zero again
  expect(told["packets sent bulk"]).toBe(34);
  seen(state("two", [peer("a", traffic(5)), peer("b", traffic(40))])); // so does every peer of a new engine
  expect(told["packets sent bulk"]).toBe(79);
});

it("tells each drop once, by its class where that is known", () => {
  const { told, seen } = bench();
  seen(state("one", []));
  const both = peer("a", traffic(0, { queueFull: 2 }), { dropped: { queueFull: 5, noRoute: 1 } });
  seen(state("one", [both], { "dropped.malformed": 4 }));
  expect(told).toMatchObject({
    "dropped bulk queueFull": 2,
    "dropped unnamed queueFull": 3,
    "dropped unnamed noRoute": 1,
    "dropped unnamed malformed": 4,
  });
});
