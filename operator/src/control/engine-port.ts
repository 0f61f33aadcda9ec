/** What the control server asks of the operator's engine: the part of the engine's client that it uses. */
import type { Desired, Event, State } from "@saf/engine";

export interface EnginePort {
  describe(): Promise<State>;
  /** Resolves to what changed. */
  apply(desired: Desired): Promise<unknown>;
  send(peer: string, kind: string, payload: Uint8Array): Promise<unknown>;
  /** Drops every session and intent. */
  stop(): Promise<unknown>;
  onEvent(listener: (event: Event) => void): void;
  /** Resolves when the connection to the engine has ended, for whatever reason. */
  readonly closed: Promise<unknown>;
  close(): void;
}

export type ConnectEngine = (signal: AbortSignal) => Promise<EnginePort>;
