/** What this host says of itself. Needs no account database: the agent may run as a bare numeric user. */
import os from "node:os";
import type { Capabilities, Facts } from "@saf/protocol";
import { AGENT_VERSION } from "../version.ts";

/** As the enrolment API bounds it. */
const MAX_LABEL_LENGTH = 128;

export const CAPABILITIES: Capabilities = { protocolVersions: ["saf/1"] };

export function gatherFacts(): Facts {
  return {
    hostname: os.hostname().slice(0, MAX_LABEL_LENGTH),
    os: os.platform(),
    arch: os.arch(),
    kernel: os.release().slice(0, MAX_LABEL_LENGTH),
    cpus: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    agentVersion: AGENT_VERSION,
  };
}
