/** @saf/cli: `fabric`, as a function of its arguments and surroundings. */
export { EXIT, type ExitCode } from "./errors.ts";
export { runFabric, type Surroundings } from "./program.ts";
export type { Terminal } from "./terminal.ts";
