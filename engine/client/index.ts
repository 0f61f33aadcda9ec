/** `@saf/engine`: the client of the packet engine's local socket, and the types of its messages. */
export { connectEngine, type ConnectOptions, type EngineClient } from "./engine-client.ts";
export { EngineError, type EngineClientErrorCode } from "./errors.ts";
export type * from "./generated/messages.ts";
export {
  MAX_CANDIDATES,
  MAX_KIND_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_PEERS,
  MAX_PREFIXES,
  MAX_REVOKED,
} from "./generated/messages.ts";
