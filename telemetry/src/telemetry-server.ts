/**
 * What monitoring asks of a program, over plain HTTP:
 *
 *   GET /livez    200, or 503 where a restart would help
 *   GET /readyz   200 where it can do its duty, or 503; the body says which state it is in and why
 *   GET /metrics  OpenMetrics text
 *
 * There are no secrets in it and nothing can be changed by it, so it may listen where a kubelet and a Prometheus reach it. Requests,
 * answers and what asking costs are bounded. A port that cannot be had is told and tried again: it must not keep a node from its work.
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import { OPEN_METRICS } from "./metric-set.ts";

export interface Health {
  readonly ok: boolean;
  /** A word: `running`, `standby`. */
  readonly state: string;
  /** A code; null when there is nothing to say. Messages may name addresses and stay inside. */
  readonly reason: string | null;
}

export interface TelemetryServerInit {
  /** Port 0 takes a free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly live: () => Health;
  readonly ready: () => Health;
  readonly metrics: () => Promise<string>;
  /** It cannot listen, and goes on trying; or the metrics could not be collected, and who asked got 500. */
  readonly onError: (error: unknown) => void;
}

export interface TelemetryServer {
  /** Resolves when it listens. */
  readonly listening: Promise<{ readonly address: string; readonly port: number }>;
  close(): Promise<void>;
}

/** A kubelet, two Prometheus servers and a person, each with a connection to spare. */
const MAX_CONNECTIONS = 16;
/** A scrape's headers are some 300 bytes. */
const MAX_HEADER_BYTES = 4096;
/** A request is one line and a few headers; who takes longer is gone. */
const REQUEST_TIMEOUT_MS = 5_000;
/** Prometheus asks every 15 to 60 s and may keep its connection. */
const KEEP_ALIVE_MS = 75_000;
/** However often it is asked, metrics are collected once in this time. */
const COLLECT_AT_MOST_EVERY_MS = 1_000;
/** Who has the port may leave it. */
const LISTEN_RETRY_MS = 5_000;

export function serveTelemetry(init: TelemetryServerInit): TelemetryServer {
  const listening = Promise.withResolvers<{ readonly address: string; readonly port: number }>();
  const collect = atMostEvery(COLLECT_AT_MOST_EVERY_MS, init.metrics);
  const server = http.createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
  });
  limitConnections(server);
  server.on("request", (request, response) => void answer(request, response, init, collect));
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  const listen = (): void => {
    server.listen({ host: init.listen.address, port: init.listen.port });
  };
  server.on("error", (error) => {
    if (server.listening || closed) return;
    init.onError(error);
    retry = setTimeout(listen, LISTEN_RETRY_MS);
  });
  server.on("listening", () => {
    const { address, port } = server.address() as AddressInfo;
    listening.resolve({ address, port });
  });
  listen();

  return {
    listening: listening.promise,
    close: async () => {
      closed = true;
      clearTimeout(retry);
      const ended = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await ended;
    },
  };
}

/**
 * Whoever has the most connections loses the oldest of them to a new one. Were the new one refused, somebody who holds them all could make
 * a kubelet take a healthy program for dead.
 */
function limitConnections(server: Server): void {
  const open = new Map<Socket, string>();
  server.on("connection", (socket: Socket) => {
    open.set(socket, socket.remoteAddress ?? "");
    socket.once("close", () => open.delete(socket));
    if (open.size <= MAX_CONNECTIONS) return;
    const surplus = oldestOfMost(open);
    open.delete(surplus);
    surplus.destroy();
  });
}

function oldestOfMost(open: ReadonlyMap<Socket, string>): Socket {
  const bySource = Map.groupBy(open.keys(), (socket) => open.get(socket));
  const [[oldest]] = [...bySource.values()].sort((a, b) => b.length - a.length) as [[Socket]];
  return oldest;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { live, ready, onError }: TelemetryServerInit,
  collect: () => Promise<string>,
): Promise<void> {
  if (request.method !== "GET") return refuse(response, 405, { allow: "GET" });
  switch (request.url?.split("?", 1)[0]) {
    case "/livez":
      return tell(response, live());
    case "/readyz":
      return tell(response, ready());
    case "/metrics":
      try {
        return send(response, 200, OPEN_METRICS, await collect());
      } catch (error) {
        onError(error);
        return refuse(response, 500);
      }
    default:
      return refuse(response, 404);
  }
}

function tell(response: ServerResponse, { ok, state, reason }: Health): void {
  send(response, ok ? 200 : 503, "application/json", `${JSON.stringify({ ok, state, reason })}\n`);
}

/** Without a body, and without waiting for the one of the request. */
function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, "content-length": 0, connection: "close" }).end();
}

function send(response: ServerResponse, status: number, mediaType: string, text: string): void {
  const headers = { "content-type": mediaType, "content-length": Buffer.byteLength(text) };
  response.writeHead(status, { ...headers, "cache-control": "no-store" }).end(text);
}

/** Everyone who asks in the meantime gets the same answer. */
function atMostEvery<T>(intervalMs: number, work: () => Promise<T>): () => Promise<T> {
  let last: { readonly answer: Promise<T>; readonly atMs: number } | undefined;
  return () => {
    if (last && performance.now() - last.atMs < intervalMs) return last.answer;
    last = { answer: work(), atMs: performance.now() };
    return last.answer;
  };
}
