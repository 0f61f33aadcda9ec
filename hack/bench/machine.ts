/** The machine that the figures are of: without it they say nothing. */
import os from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly memoryBytes: number;
  readonly architecture: string;
}

export function readMachine(): Machine {
  const cores = os.cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    kernel: os.release(),
    memoryBytes: os.totalmem(),
    architecture: os.arch(),
  };
}
