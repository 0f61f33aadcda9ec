import type { Host } from "../lab/host.ts";
import { until } from "../demo/wait.ts";

/** The slowest are an engine that was just started, and a tunnel that lost its peer and dials again. */
const TIMEOUT_MS = 30_000;

/** Resolves at the first echo from that address. */
export async function packetsCross(from: Host, address: string): Promise<void> {
  const echo = ["ping", "-n", "-c", "1", "-W", "0.3", address];
  await until(`${address} answers ${from.name}`, async () => (await from.exec(echo), true), {
    timeoutMs: TIMEOUT_MS,
    everyMs: 20,
  });
}
