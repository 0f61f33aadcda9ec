/** What an ordinary node says of itself, for tests that need something believable. */
import type { Facts, Heartbeat } from "@saf/protocol";

export const sampleFacts: Facts = {
  hostname: "a",
  os: "linux",
  arch: "x64",
  kernel: "6",
  cpus: 2,
  memoryBytes: 1,
  agentVersion: "0.1.0",
};

export function sampleHeartbeat(changes: Partial<Heartbeat> = {}): Heartbeat {
  return {
    sequence: 7,
    facts: sampleFacts,
    capabilities: { protocolVersions: ["saf/1"] },
    candidates: ["192.168.1.5:7443"],
    applied: null,
    peers: { known: 0, direct: 0 },
    degraded: false,
    certificateNotAfter: 1_900_000_000,
    ...changes,
  };
}
