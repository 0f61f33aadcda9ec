/** The operator's engine over its socket. */
import { connectEngine } from "@saf/engine";
import type { ConnectEngine } from "./engine-port.ts";

export function connectOperatorEngine(socketPath: string): ConnectEngine {
  return (signal) => connectEngine(socketPath, { signal });
}
