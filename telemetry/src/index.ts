/** @saf/telemetry: how operator and agent tell monitoring about themselves. */
export * from "./bounds.ts";
export * from "./metric-set.ts";
export * from "./process-metrics.ts";
export * from "./telemetry-server.ts";
export * from "./session-codes.ts";
