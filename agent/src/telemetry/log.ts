/** The one logger: JSON lines on stderr. Secrets are not passed to it; the list below is the second lock. */
import { pino, type Logger } from "pino";

export type Log = Logger;
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

const SECRETS = ["secret", "token", "pem", "privateKey"];

export function createLog(level: LogLevel, nodeName: string): Log {
  const paths = SECRETS.flatMap((name) => [name, `*.${name}`]);
  return pino(
    { level, base: { node: nodeName }, redact: { paths, censor: "[secret]" } },
    pino.destination({ fd: 2, sync: true }),
  );
}
