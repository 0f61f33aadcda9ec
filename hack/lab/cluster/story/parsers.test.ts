/** What the story reads of others: units of systemd, and metrics. */
import { engineUnit } from "../../../../cli/src/host/units.ts";
import { parseSamples, sumOf } from "./metrics.ts";
import { parseUnit } from "./units.ts";

it("reads the unit that fabric install writes", () => {
  const unit = parseUnit(engineUnit("/opt/fabric"));
  expect(unit.get("ExecStart")).toBe("/opt/fabric/bin/fabric-engine --config /etc/fabric/engine.json");
  expect(unit.get("CapabilityBoundingSet")).toBe("CAP_NET_ADMIN CAP_SYS_NICE");
  expect(unit.has("# The group reads the node's key, which is the agent's.")).toBe(false);
});

it("keeps what is empty, and what has a sign of its own", () => {
  expect(parseUnit("[Service]\nCapabilityBoundingSet=\nExecStart=a --b=c\n")).toEqual(
    new Map([
      ["CapabilityBoundingSet", ""],
      ["ExecStart", "a --b=c"],
    ]),
  );
});

it("sums the samples of a metric whose labels fit", () => {
  const samples = parseSamples(
    [
      "# TYPE fabric_operator_api_requests counter",
      'fabric_operator_api_requests_total{verb="update",resource="leases",code="OK"} 7',
      'fabric_operator_api_requests_total{verb="get",resource="leases",code="OK"} 5 1763740000',
      "process_resident_memory_bytes 1.5e+08",
      "# EOF",
    ].join("\n"),
  );
  expect(sumOf(samples, "fabric_operator_api_requests_total")).toBe(12);
  expect(sumOf(samples, "fabric_operator_api_requests_total", /verb="(create|update)"/)).toBe(7);
  expect(sumOf(samples, "process_resident_memory_bytes")).toBe(150_000_000);
});
