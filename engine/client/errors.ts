/** Codes that the client itself gives; every other code is the engine's (docs/wire/engine-socket.md). */
export type EngineClientErrorCode =
  /** Nobody listens at the path, or it may not be opened. */
  | "CONNECT_FAILED"
  /** The connection ended before the answer came, or the client was closed. */
  | "CONNECTION_CLOSED"
  /** The caller's signal was aborted. */
  | "ABORTED"
  /** No answer in time. */
  | "TIMEOUT"
  /** Too many requests wait for their answers already. */
  | "BACKPRESSURE"
  /** A message above the bound, either way. */
  | "FRAME_TOO_LARGE"
  /** The peer sent something that is not a message of this protocol. */
  | "MALFORMED";

/** A refused command, or a connection that failed. */
export class EngineError extends Error {
  readonly code: string;
  constructor(code: EngineClientErrorCode | (string & {}), message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EngineError";
    this.code = code;
  }
}
