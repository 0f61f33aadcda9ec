import { createDuty } from "./duty.ts";

const LEASE_MS = 6_000;

function bench() {
  let nowMs = 1_000;
  const duty = createDuty({ elapsedMs: () => nowMs, leaseMs: LEASE_MS });
  const pass = (ms: number) => (nowMs += ms);
  return { duty, pass };
}

it("is not ready before the API server was heard, and a ready standby afterwards", () => {
  const { duty } = bench();
  expect(duty.ready()).toMatchObject({ ok: false, reason: "API_SERVER_SILENT" });
  duty.looked(undefined);
  expect(duty.ready().ok).toBe(false);
  duty.looked("other");
  expect(duty.ready()).toEqual({ ok: true, state: "standby", reason: null });
});

it("is not ready once the API server is silent for longer than a Lease, and still alive", () => {
  const { duty, pass } = bench();
  duty.looked("other");
  pass(LEASE_MS + 5_001);
  duty.looked(undefined);
  expect(duty.ready()).toMatchObject({ ok: false, reason: "API_SERVER_SILENT" });
  expect(duty.live().ok).toBe(true);
});

it("rules when everything it needs is there, and names what is not", () => {
  const { duty } = bench();
  duty.looked("self");
  const resign = duty.elected();
  expect(duty.ready()).toEqual({ ok: true, state: "elected", reason: null }); // no Cluster yet: nothing to do
  duty.claiming();
  expect(duty.ready()).toMatchObject({ ok: false, reason: "CLAIMING" });
  const end = duty.ruling();
  expect(duty.ready().reason).toBe("ENGINE_UNREACHABLE");
  duty.engine(true);
  expect(duty.ready().reason).toBe("ENROLMENT_CLOSED");
  duty.enrolment(true);
  expect(duty.ready()).toEqual({ ok: true, state: "ruling", reason: null });
  duty.ledger(false);
  expect(duty.ready()).toMatchObject({ ok: false, reason: "LEDGER_UNAVAILABLE" });
  duty.ledger(true);
  end();
  resign();
  expect(duty.ready().state).toBe("standby");
});

it("says why it was refused until another operator rules or it claims again", () => {
  const { duty } = bench();
  duty.looked("self");
  const resign = duty.elected();
  duty.claiming();
  duty.refused("ForeignLedger");
  resign();
  duty.looked("self");
  expect(duty.ready()).toEqual({ ok: false, state: "standby", reason: "ForeignLedger" });
  duty.looked("other");
  expect(duty.ready().ok).toBe(true);
});

it("is dead only when the election stands still", () => {
  const { duty, pass } = bench();
  pass(10 * LEASE_MS + 1);
  expect(duty.live()).toMatchObject({ ok: false, reason: "ELECTION_HANGS" });
  duty.looked(undefined);
  expect(duty.live().ok).toBe(true);
});
