/** Requests that wait for their replies: bounded, each with a deadline, all failed at once when the connection ends. */
import { EngineError } from "./errors.ts";

/** One message to each of the most peers at once, with room to spare. */
export const MAX_PENDING = 16_384;
const MAX_ID = 0xffff_ffff;

interface Pending {
  resolve(result: unknown): void;
  reject(error: EngineError): void;
  timer: NodeJS.Timeout;
}

export class PendingRequests {
  readonly #pending = new Map<number, Pending>();
  readonly #timeoutMs: number;
  #lastId = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** A new id, and the promise of its result. Throws EngineError BACKPRESSURE. */
  open(command: string): { id: number; result: Promise<unknown> } {
    if (this.#pending.size >= MAX_PENDING) {
      throw new EngineError("BACKPRESSURE", `${MAX_PENDING} requests wait for their answers`);
    }
    const id = this.#freeId();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new EngineError("TIMEOUT", `${command}: no answer in ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    this.#pending.set(id, { resolve, reject, timer });
    return { id, result: promise };
  }

  /** A reply that comes after its deadline finds nothing here, which is right. */
  resolve(id: number, result: unknown): void {
    this.#take(id)?.resolve(result);
  }

  reject(id: number, error: EngineError): void {
    this.#take(id)?.reject(error);
  }

  rejectAll(error: EngineError): void {
    for (const id of this.#pending.keys()) this.reject(id, error);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending) clearTimeout(pending.timer);
    this.#pending.delete(id);
    return pending;
  }

  #freeId(): number {
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}
