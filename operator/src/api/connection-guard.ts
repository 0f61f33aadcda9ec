/** Refuses TCP connections of a source that opens too many, before any of them costs a TLS handshake. */
import type { Server, Socket } from "node:net";
import type { EnrolmentLimits } from "./enrolment-limits.ts";
import { createRateLimiter } from "./rate-limiter.ts";
import { sourceOf } from "./source.ts";

export interface ConnectionGuard {
  /** Connections refused since the start. */
  readonly refused: number;
}

export function guardConnections(
  server: Server,
  limits: EnrolmentLimits,
  nowMs: () => number,
  onRefused: () => void = () => undefined,
): ConnectionGuard {
  const limiter = createRateLimiter(limits.connectionsPerSource, nowMs);
  const open = new Map<string, number>();
  let refused = 0;

  server.maxConnections = limits.openConnections;
  server.on("connection", (socket: Socket) => {
    const source = sourceOf(socket.remoteAddress);
    const count = open.get(source) ?? 0;
    if (count >= limits.openPerSource || limiter.take(source) > 0) {
      refused += 1;
      onRefused();
      socket.destroy();
      return;
    }
    open.set(source, count + 1);
    socket.once("close", () => {
      const left = (open.get(source) ?? 1) - 1;
      if (left === 0) open.delete(source);
      else open.set(source, left);
    });
  });
  return {
    get refused() {
      return refused;
    },
  };
}
