/** The operator's engine over its socket. */
import { connectEngine } from "@saf/engine";
import type { ConnectEngine } from "./engine-port.ts";

/**
 * The signal ends the attempt only: what is connected is ended by its owner, who has a last command for the engine (`stop`)
 * just when the signal aborts.
 */
export function connectOperatorEngine(socketPath: string): ConnectEngine {
  return async (signal) => {
    const attempt = new AbortController();
    const abort = (): void => attempt.abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await connectEngine(socketPath, { signal: attempt.signal });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };
}
