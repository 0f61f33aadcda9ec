/** Reads what `iperf3 -J` prints at the end of a test. */
import { BenchError } from "./bench-error.ts";

export interface IperfReport {
  /** What the receiver took in. */
  readonly receivedBytes: number;
  readonly seconds: number;
  /** Of TCP; 0 for UDP. */
  readonly retransmits: number;
}

/** A report of ten seconds and eight streams takes 60 KB. */
const MAX_REPORT_CHARS = 4 << 20;

/** Throws BenchError for what is no report of a test that went to its end. */
export function parseIperfReport(text: string): IperfReport {
  if (text.length > MAX_REPORT_CHARS) throw new BenchError(`iperf3 printed ${text.length} characters`);
  const report = parseJson(text);
  if (typeof report["error"] === "string") throw new BenchError(`iperf3: ${report["error"]}`);
  const end = objectAt(report, "end");
  const received = objectAt(end, "sum_received");
  const seconds = numberAt(received, "seconds");
  if (seconds <= 0) throw new BenchError("iperf3 reports a test of no time");
  const retransmits = objectAt(end, "sum_sent")["retransmits"];
  return {
    receivedBytes: numberAt(received, "bytes"),
    seconds,
    retransmits: typeof retransmits === "number" ? retransmits : 0,
  };
}

type Json = Readonly<Record<string, unknown>>;

function parseJson(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BenchError(`iperf3 printed no JSON: ${text.slice(0, 200)}`, { cause });
  }
  if (!isObject(value)) throw new BenchError("iperf3 printed no report");
  return value;
}

function objectAt(json: Json, name: string): Json {
  const value = json[name];
  if (!isObject(value)) throw new BenchError(`iperf3's report has no ${name}`);
  return value;
}

function numberAt(json: Json, name: string): number {
  const value = json[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
    throw new BenchError(`iperf3's report has no ${name}`);
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
