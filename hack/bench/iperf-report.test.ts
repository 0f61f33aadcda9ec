import { BenchError } from "./bench-error.ts";
import { parseIperfReport } from "./iperf-report.ts";

function report(end: object): string {
  return JSON.stringify({ start: { version: "iperf 3.12" }, intervals: [], end });
}

describe("iperf3's report", () => {
  it("gives what the receiver took in", () => {
    const tcp = report({
      sum_sent: { seconds: 1.02, bytes: 33_685_504, retransmits: 4 },
      sum_received: { seconds: 1.03, bytes: 30_539_384 },
    });
    expect(parseIperfReport(tcp)).toEqual({ receivedBytes: 30_539_384, seconds: 1.03, retransmits: 4 });
    const udp = report({
      sum_sent: { seconds: 1, bytes: 78_614_000, packets: 393_070 },
      sum_received: { seconds: 1, bytes: 21_923_200, packets: 393_070, lost_packets: 283_454 },
    });
    expect(parseIperfReport(udp)).toEqual({ receivedBytes: 21_923_200, seconds: 1, retransmits: 0 });
  });

  it("passes on what iperf3 complains of", () => {
    const refused = JSON.stringify({ start: {}, end: {}, error: "unable to connect to server" });
    expect(() => parseIperfReport(refused)).toThrow("unable to connect to server");
  });

  it.each([
    ["nothing", ""],
    ["words", "iperf3: interrupt - the client has terminated"],
    ["half a report", report({ sum_sent: {}, sum_received: { seconds: 1, bytes: 1 } }).slice(0, -9)],
    ["a list", "[]"],
    ["null", "null"],
    ["no end", "{}"],
    ["an end without sums", report({})],
    ["no seconds", report({ sum_sent: {}, sum_received: { bytes: 5 } })],
    ["a test of no time", report({ sum_sent: {}, sum_received: { bytes: 5, seconds: 0 } })],
    ["bytes as text", report({ sum_sent: {}, sum_received: { bytes: "5", seconds: 1 } })],
    ["negative bytes", report({ sum_sent: {}, sum_received: { bytes: -5, seconds: 1 } })],
    ["a sum that is a list", report({ sum_sent: {}, sum_received: [1] })],
    ["more than any report", `"${"x".repeat(5 << 20)}"`],
  ])("refuses %s", (_, text) => expect(() => parseIperfReport(text)).toThrow(BenchError));
});
