/** @saf/operator, for those who start it or test against it. */
export { loadConfig, parseConfig, type Config } from "./config.ts";
export { ConfigError, type ConfigErrorCode } from "./errors.ts";
export { runOperator } from "./run-operator.ts";
export { createLog } from "./telemetry/log.ts";
