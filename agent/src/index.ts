/** What other packages may know of the agent: the shapes of its local API, and how to undo what it may leave behind. */
export { OPERATOR_PEER } from "./peers/desired.ts";
export type * from "./local-api/views.ts";
/** For who takes an agent away that could not put the host's names back itself. */
export { originalIn, restoreResolvConf } from "./names/resolv-conf.ts";
export type { LoggedError } from "./telemetry/error-log.ts";
