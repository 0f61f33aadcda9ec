/**
 * The one logger: JSON lines on stderr, each with the name of its node. Sessions carry a `session`, joins the `requestId` of their
 * JoinRequest, refusals of the enrolment server the `request` under which its log has them.
 * Secrets are not passed to it; the list below is the second lock.
 */
import { pino, type Logger } from "pino";

export type Log = Logger;
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

const SECRETS = ["secret", "token", "pem", "privateKey", "keyPem", "password", "authorization", "jws", "csr"];

/** @param keep gets each line too */
export function createLog(level: LogLevel, nodeName: string, keep?: (line: string) => void): Log {
  const paths = SECRETS.flatMap((name) => [name, `*.${name}`]);
  const stderr = pino.destination({ fd: 2, sync: true });
  const write = (line: string): void => {
    stderr.write(line);
    keep?.(line);
  };
  return pino({ level, base: { node: nodeName }, redact: { paths, censor: "[secret]" } }, { write });
}
