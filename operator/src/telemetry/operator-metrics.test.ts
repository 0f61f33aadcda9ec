import { readOpenMetrics } from "@saf/telemetry/testing";
import { LedgerError } from "../ledger/errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { observedLedger } from "./observed-ledger.ts";
import { createOperatorTelemetry } from "./operator-telemetry.ts";

const bench = () => createOperatorTelemetry({ durationMs: 6_000 });

it("is valid OpenMetrics with everything that it counts, and again", async () => {
  const { metrics } = bench();
  metrics.apiCall({ verb: "patch", resource: "fabricnodes", code: "OK", seconds: 0.01 });
  metrics.apiCall({ verb: "watch", resource: "fabricnodes", code: "GONE", seconds: null });
  const forget = metrics.queue("cluster", () => ({ waiting: 2, working: 1 }));
  metrics.reconciled("cluster", "done", 0.02);
  metrics.enrolment("join", "TOKEN_EXPIRED");
  metrics.enrolment("poll", "made up by a client");
  metrics.session("ready");
  metrics.message("heartbeat", "taken");
  metrics.refusedHandshakes("UNKNOWN_PEER", 4);
  const end = metrics.ruling({
    term: 3,
    epoch: () => 9,
    editionSeconds: () => 1_800_000_000,
    nodes: () => ({ approved: 4, connected: 3, confirmed: 2 }),
    nextCertificateEnd: () => null,
    caEndSeconds: 1_900_000_000,
  });
  const families = readOpenMetrics(await metrics.collect());
  const samples = (name: string) => families.get(name)?.samples.map(({ labels, value }) => [labels, value]);
  expect(samples("fabric_operator_nodes")).toEqual([
    [{ state: "approved" }, 4],
    [{ state: "connected" }, 3],
    [{ state: "confirmed" }, 2],
  ]);
  expect(samples("fabric_operator_epoch")).toEqual([[{}, 9]]);
  expect(samples("fabric_operator_node_certificate_next_expiry_timestamp_seconds")).toEqual([]);
  expect(samples("fabric_operator_enrolment_requests")).toEqual([
    [{ call: "join", code: "TOKEN_EXPIRED" }, 1],
    [{ call: "poll", code: "other" }, 1],
  ]);
  expect(samples("fabric_operator_queue_keys")).toContainEqual([
    { controller: "cluster", state: "waiting" },
    2,
  ]);
  expect(
    families
      .get("fabric_operator_api_request_seconds")
      ?.samples.some(({ labels }) => labels["verb"] === "watch"),
  ).toBe(false);
  end();
  forget();
  const after = readOpenMetrics(await metrics.collect());
  expect(after.get("fabric_operator_ruling")?.samples[0]?.value).toBe(0);
  expect(after.get("fabric_operator_nodes")?.samples).toEqual([]);
  expect(after.get("fabric_operator_queue_keys")?.samples).toEqual([]);
});

it("watches the ledger: time, outcome, and whether the database answers", async () => {
  const telemetry = bench();
  let away = true;
  const ledger = observedLedger(
    {
      id: "ledger-1",
      trustDomain: "home.example",
      token: async () => {
        if (away) throw new LedgerError("LEDGER_UNAVAILABLE", "no answer");
        return undefined;
      },
      close: async () => undefined,
    } as unknown as Ledger,
    telemetry,
  );
  expect([ledger.id, ledger.trustDomain]).toEqual(["ledger-1", "home.example"]);
  telemetry.duty.looked("self");
  telemetry.duty.ruling();
  await expect(ledger.token("a")).rejects.toThrow(LedgerError);
  expect(telemetry.duty.ready().reason).toBe("LEDGER_UNAVAILABLE");
  away = false;
  await ledger.token("a");
  expect(telemetry.duty.ready().reason).toBe("ENGINE_UNREACHABLE");
  const families = readOpenMetrics(await telemetry.metrics.collect());
  expect(families.get("fabric_operator_ledger_calls")?.samples.map(({ labels }) => labels)).toEqual([
    { operation: "token", code: "LEDGER_UNAVAILABLE" },
    { operation: "token", code: "OK" },
  ]);
});
