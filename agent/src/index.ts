/** What other packages may know of the agent: the shapes of its local API. */
export type * from "./local-api/views.ts";
export type { LoggedError } from "./telemetry/error-log.ts";
