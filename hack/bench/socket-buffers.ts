/** The machine's limits on socket buffers, raised for the run: peers that may not force theirs would be measured by them. */
import { readFileSync, writeFileSync } from "node:fs";

const LIMITS = ["/proc/sys/net/core/rmem_max", "/proc/sys/net/core/wmem_max"];
const WANTED_BYTES = 8 << 20;

/** Disposing gives the machine back the limits that it had. */
export function raiseSocketBuffers(): Disposable {
  const before = LIMITS.map((path) => [path, Number(readFileSync(path, "utf8"))] as const);
  const low = before.filter(([, bytes]) => bytes < WANTED_BYTES);
  for (const [path] of low) writeFileSync(path, String(WANTED_BYTES));
  return {
    [Symbol.dispose]: () => {
      for (const [path, bytes] of low) writeFileSync(path, String(bytes));
    },
  };
}
