/** Polls that hang until their join request is decided, the time is up or the client is gone. */

/** A retrying client may have left one behind; its newest is the one that is read. */
const MAX_PER_REQUEST = 2;

export interface WaitingPolls {
  /**
   * Starts to listen at once, so that a decision between this call and the await is not missed.
   * Already over when there are too many.
   */
  wait(requestId: string, timeoutMs: number, gone: AbortSignal): WaitingPoll;
  /** The request was decided. */
  wake(requestId: string): void;
  wakeAll(): void;
  readonly size: number;
}

export interface WaitingPoll {
  readonly over: Promise<void>;
  end(): void;
}

export function createWaitingPolls(max: number): WaitingPolls {
  const polls = new Map<string, Set<WaitingPoll>>();
  let size = 0;

  const wait = (requestId: string, timeoutMs: number, gone: AbortSignal): WaitingPoll => {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const waiting = polls.get(requestId) ?? new Set<WaitingPoll>();
    const end = (): void => {
      clearTimeout(timer);
      gone.removeEventListener("abort", end);
      if (waiting.delete(poll)) size -= 1;
      if (waiting.size === 0 && polls.get(requestId) === waiting) polls.delete(requestId);
      resolve();
    };
    const timer = setTimeout(end, timeoutMs);
    const poll: WaitingPoll = { over, end };
    if (size >= max || gone.aborted || timeoutMs <= 0) {
      end();
      return poll;
    }
    gone.addEventListener("abort", end, { once: true });
    if (waiting.size >= MAX_PER_REQUEST) [...waiting][0]?.end();
    polls.set(requestId, waiting.add(poll));
    size += 1;
    return poll;
  };

  const wake = (requestId: string): void => {
    for (const poll of polls.get(requestId) ?? []) poll.end();
  };

  return {
    wait,
    wake,
    wakeAll: () => {
      for (const requestId of polls.keys()) wake(requestId);
    },
    get size() {
      return size;
    },
  };
}
