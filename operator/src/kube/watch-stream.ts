/** A watch as a stream of events. Source: Kubernetes API concepts, "Efficient detection of changes". */
import type { IncomingMessage } from "node:http";
import { KubeError, kubeErrorCodeOf } from "./errors.ts";
import type { KubeObject } from "./resource.ts";
import type { Transport } from "./transport.ts";
import type { WatchOptions } from "./client.ts";

export interface WatchEvent<T extends KubeObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

/** etcd refuses objects over 1.5 MiB, so no event can be longer. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
/** Bookmarks come about once a minute; a stream silent for longer than two of them is dead. */
const SILENCE_LIMIT_MS = 150_000;

/** Ends when the server ends the watch; throws KubeError (GONE: list again). */
export async function* readWatch<T extends KubeObject>(
  transport: Transport,
  path: string,
  { resourceVersion, timeoutSeconds, signal }: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const query = new URLSearchParams({
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion,
    timeoutSeconds: String(timeoutSeconds),
  });
  const answer = await transport.open({ method: "GET", target: `${path}?${query.toString()}`, signal });
  answer.setTimeout(SILENCE_LIMIT_MS, () => answer.destroy(new Error("the watch fell silent")));
  try {
    for await (const line of linesOf(answer)) yield eventFrom<T>(line);
  } finally {
    answer.destroy();
  }
}

export async function* linesOf(stream: AsyncIterable<Buffer> | IncomingMessage): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_LINE_BYTES)
        throw new KubeError("TOO_LARGE", "an event of the watch is too large");
      yield* lines.filter((line) => line !== "");
    }
  } catch (cause) {
    if (cause instanceof KubeError) throw cause;
    throw new KubeError("UNAVAILABLE", "the watch was cut off", { cause });
  }
}

function eventFrom<T extends KubeObject>(line: string): WatchEvent<T> {
  const event = JSON.parse(line) as WatchEvent<T> | { type: "ERROR"; object: Failure };
  if (event.type !== "ERROR") return event;
  const { code, reason, message = "the watch failed" } = event.object;
  throw new KubeError(kubeErrorCodeOf(code ?? 500, reason), message, { status: code ?? 500 });
}

interface Failure {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}
