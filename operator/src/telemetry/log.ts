/**
 * The one logger: JSON lines on standard output. Lines of a node's session carry `node`, `nodeId` and `session`, those of a request to the
 * enrolment API `request`. Nothing secret is ever passed to it; names that could slip are redacted.
 */
import { pino, stdSerializers, type Logger } from "pino";

export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

const SECRET_NAMES = [
  "secret",
  "token",
  "pem",
  "privateKey",
  "keyPem",
  "password",
  "authorization",
  "data",
  "jws",
  "csr",
];

export function createLog(level: LogLevel): Logger {
  return pino({
    level,
    base: { component: "fabric-operator" },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: stdSerializers.err },
    redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
  });
}
