/**
 * The TypeScript face of one engine process: a typed request for each command of its socket, and its events.
 *
 * One client is one connection. When it ends, everything pending fails with the reason, `closed` resolves, and whoever wants
 * to go on connects again and describes: the engine has kept its state.
 */
import { createConnection, type Socket } from "node:net";
import { decodeMessage, encodeRequest, FrameReader, type Incoming } from "./codec.ts";
import { EngineError } from "./errors.ts";
import {
  type ApplyResult,
  type Command,
  type Desired,
  type Event,
  type HelloResult,
  MAX_PAYLOAD_BYTES,
  PROTOCOL_VERSION,
  type State,
} from "./generated/messages.ts";
import { PendingRequests } from "./pending-requests.ts";

/** A reply takes well below a millisecond; an engine that needs this long is stuck. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** Bytes that the engine has not taken from us yet; it takes them in milliseconds. */
const MAX_UNWRITTEN_BYTES = 64 * 1024 * 1024;
/** The id of a failure that answers no request of ours: the connection is of no use after it. */
const NO_REQUEST = 0;

export interface ConnectOptions {
  /** Ends the attempt, and the connection after it. */
  readonly signal?: AbortSignal;
  /** For each request. */
  readonly timeoutMs?: number;
}

export interface EngineClient {
  /** What the engine said about itself. */
  readonly hello: HelloResult;
  describe(): Promise<State>;
  /** Makes the engine's state exactly this one. */
  apply(desired: Desired): Promise<ApplyResult>;
  /** One envelope to a peer with a ready session. Throws EngineError NO_SESSION, BACKPRESSURE, TOO_LARGE. */
  send(peer: string, kind: string, payload: Uint8Array): Promise<void>;
  /** Drops every intent; the process stays. */
  stop(): Promise<void>;
  /** A listener that is added in the turn in which `connectEngine` resolved misses nothing. Returns its removal. */
  onEvent(listener: (event: Event) => void): () => void;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  /** Why it ended; null while it lasts. */
  readonly closeReason: EngineError | null;
  close(): void;
}

/** Connects and says hello. Throws EngineError CONNECT_FAILED, ABORTED, TIMEOUT, or a refusal of the engine. */
export async function connectEngine(socketPath: string, options: ConnectOptions = {}): Promise<EngineClient> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (signal?.aborted) throw new EngineError("ABORTED", "aborted before connecting");
  const connection = new Connection(createConnection(socketPath), timeoutMs);
  const abort = (): void => connection.end(new EngineError("ABORTED", "aborted by the caller"));
  signal?.addEventListener("abort", abort, { once: true });
  void connection.closed.then(() => signal?.removeEventListener("abort", abort));
  try {
    const hello = await connection.request<HelloResult>({ type: "hello", protocol: PROTOCOL_VERSION });
    return clientOf(connection, hello);
  } catch (error) {
    connection.end(error instanceof EngineError ? error : new EngineError("CONNECT_FAILED", String(error)));
    throw error;
  }
}

function clientOf(connection: Connection, hello: HelloResult): EngineClient {
  return {
    hello,
    closed: connection.closed,
    get closeReason() {
      return connection.closeReason;
    },
    describe: () => connection.request<State>({ type: "describe" }),
    apply: (desired) => connection.request<ApplyResult>({ type: "apply", desired }),
    send: async (peer, kind, payload) => {
      if (payload.length > MAX_PAYLOAD_BYTES) {
        throw new EngineError(
          "TOO_LARGE",
          `payload of ${payload.length} bytes, at most ${MAX_PAYLOAD_BYTES}`,
        );
      }
      await connection.request({ type: "send", peer, kind, payload });
    },
    stop: async () => {
      await connection.request({ type: "stop" });
    },
    onEvent: (listener) => connection.onEvent(listener),
    close: () => connection.end(new EngineError("CONNECTION_CLOSED", "closed by the caller")),
  };
}

/** The socket, its frames and who waits for what. */
class Connection {
  readonly closed: Promise<void>;
  closeReason: EngineError | null = null;
  readonly #socket: Socket;
  readonly #pending: PendingRequests;
  readonly #reader = new FrameReader();
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #resolveClosed: () => void;
  #connected = false;
  #greeted = false;
  /** Frames wait in the reader. */
  #paused = false;

  constructor(socket: Socket, timeoutMs: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.#pending = new PendingRequests(timeoutMs);
    this.#socket = socket;
    socket.once("connect", () => {
      this.#connected = true;
    });
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.once("end", () =>
      this.end(new EngineError("CONNECTION_CLOSED", "the engine closed the connection")),
    );
    socket.on("error", (cause) => this.end(this.#failure(cause)));
    socket.once("close", () => this.end(new EngineError("CONNECTION_CLOSED", "the connection is closed")));
  }

  async request<Result>(command: Command): Promise<Result> {
    if (this.closeReason) throw this.closeReason;
    if (this.#socket.writableLength > MAX_UNWRITTEN_BYTES) {
      throw new EngineError("BACKPRESSURE", `${this.#socket.writableLength} bytes wait for the engine`);
    }
    const { id, result } = this.#pending.open(command.type);
    try {
      this.#socket.write(encodeRequest({ id, command }));
    } catch (error) {
      this.#pending.reject(id, error as EngineError);
    }
    return result as Promise<Result>;
  }

  onEvent(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first reason stays. */
  end(reason: EngineError): void {
    if (this.closeReason) return;
    this.closeReason = reason;
    this.#socket.destroy();
    this.#pending.rejectAll(reason);
    this.#resolveClosed();
  }

  #failure(cause: Error): EngineError {
    const code = this.#connected ? "CONNECTION_CLOSED" : "CONNECT_FAILED";
    return new EngineError(code, cause.message, { cause });
  }

  #take(chunk: Buffer): void {
    this.#reader.push(chunk);
    this.#takeFrames();
  }

  #takeFrames(): void {
    try {
      while (!this.closeReason && !this.#paused) {
        const frame = this.#reader.next();
        if (!frame) return;
        this.#takeMessage(decodeMessage(frame));
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      this.end(error);
    }
  }

  #takeMessage(message: Incoming): void {
    if (message.kind === "event") {
      for (const listener of this.#listeners) listener(message.event);
    } else if (message.kind === "result") {
      this.#pending.resolve(message.id, message.result);
      if (!this.#greeted) this.#pauseForListeners();
    } else if (message.id === NO_REQUEST) {
      this.end(new EngineError(message.error.code, message.error.message));
    } else {
      this.#pending.reject(message.id, new EngineError(message.error.code, message.error.message));
    }
  }

  /** After hello, events that came with it wait until the caller of `connectEngine` had its turn to listen. */
  #pauseForListeners(): void {
    this.#greeted = true;
    this.#paused = true;
    this.#socket.pause();
    setImmediate(() => {
      this.#paused = false;
      this.#socket.resume();
      this.#takeFrames();
    });
  }
}
