/**
 * The node's local API: HTTP and JSON over a unix socket, for `fabric status`, `fabric peers` and `fabric join`.
 *
 *   GET  /v1/status  StatusView
 *   GET  /v1/peers   PeersView
 *   GET  /v1/diagnostics  DiagnosticsView
 *   POST /v1/join    { server, token, requestedRoles? } → 202 JoinStartedView
 *
 * Who may speak is the socket's file mode (0660). Errors are problem documents (RFC 9457) with a stable code.
 */
import fs from "node:fs/promises";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import net from "node:net";
import { parseToken, PROBLEM_MEDIA_TYPE, type JoinToken, type Problem } from "@saf/protocol";
import { z } from "zod";
import { parseServerAddress } from "../enrolment/server-address.ts";
import { AgentError, codeIn, codeOf, messageOf } from "../errors.ts";
import type { DiagnosticsView, JoinStartedView, PeersView, StatusView } from "./views.ts";

export interface JoinRequest {
  /** `https://host:port` */
  readonly server: string;
  readonly token: JoinToken;
  readonly requestedRoles: readonly string[];
}

export interface LocalApiHandlers {
  status(): StatusView;
  peers(): Promise<PeersView>;
  diagnostics(): Promise<DiagnosticsView>;
  join(request: JoinRequest): Promise<JoinStartedView>;
}

export interface LocalApi {
  close(): Promise<void>;
}

/** A join request is under 1 KiB. */
const MAX_BODY_BYTES = 16 * 1024;
/** People and scripts of one host. */
const MAX_CONNECTIONS = 32;
/** Every answer is at hand; a client that takes longer to ask is gone. */
const REQUEST_TIMEOUT_MS = 10_000;
const SOCKET_MODE = 0o660;

const joinRequest = z.strictObject({
  server: z.string().max(512),
  token: z.string().max(256),
  requestedRoles: z.array(z.string().min(1).max(32)).max(16).default([]),
});

const STATUS_OF: Readonly<Record<string, number>> = {
  REQUEST_INVALID: 400,
  TOKEN_MALFORMED: 400,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  ALREADY_ENROLLED: 409,
  REQUEST_TOO_LARGE: 413,
  ENGINE_UNREACHABLE: 503,
  STATE_DISK_FULL: 507,
};

/** Throws AgentError API_SOCKET_IN_USE when another agent answers on the socket; a dead one's socket is replaced. */
export async function startLocalApi(socketPath: string, handlers: LocalApiHandlers): Promise<LocalApi> {
  await removeStaleSocket(socketPath);
  const server = http.createServer({
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("request", (request, response) => void respond(request, response, handlers));
  await listen(server, socketPath);
  return { close: () => close(server) };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: LocalApiHandlers,
): Promise<void> {
  try {
    const { status, view } = await route(request, handlers);
    write(response, status, "application/json", view);
  } catch (error) {
    const problem = problemOf(error);
    write(response, problem.status, PROBLEM_MEDIA_TYPE, problem);
  }
}

async function route(
  request: IncomingMessage,
  handlers: LocalApiHandlers,
): Promise<{ status: number; view: StatusView | PeersView | DiagnosticsView | JoinStartedView }> {
  const call = `${request.method} ${request.url}`;
  switch (call) {
    case "GET /v1/status":
      return { status: 200, view: handlers.status() };
    case "GET /v1/peers":
      return { status: 200, view: await handlers.peers() };
    case "GET /v1/diagnostics":
      return { status: 200, view: await handlers.diagnostics() };
    case "POST /v1/join":
      return { status: 202, view: await handlers.join(parseJoin(await readBody(request))) };
  }
  if (["/v1/status", "/v1/peers", "/v1/diagnostics", "/v1/join"].includes(request.url ?? "")) {
    throw new AgentError("METHOD_NOT_ALLOWED", "not with this method");
  }
  throw new AgentError("NOT_FOUND", "there is /v1/status, /v1/peers, /v1/diagnostics and /v1/join");
}

function parseJoin(text: string): JoinRequest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new AgentError("REQUEST_INVALID", "the body is not JSON");
  }
  const parsed = joinRequest.safeParse(json);
  if (!parsed.success) throw new AgentError("REQUEST_INVALID", z.prettifyError(parsed.error));
  const { server, token, requestedRoles } = parsed.data;
  parseServerAddress(server);
  return { server, token: parseToken(token), requestedRoles };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > MAX_BODY_BYTES)
      throw new AgentError("REQUEST_TOO_LARGE", `a body has at most ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function problemOf(error: unknown): Problem {
  const code = codeOf(error);
  const status = STATUS_OF[code] ?? 500;
  const detail =
    status === 500 && code === "INTERNAL" ? "see the agent's log" : messageOf(error).slice(0, 1024);
  return { type: "about:blank", title: code, status, code, detail };
}

function write(response: ServerResponse, status: number, mediaType: string, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  // A refused body may not have been read to its end: this connection carries no further request.
  const closing = status === 413 ? { connection: "close" } : {};
  response
    .writeHead(status, { "content-type": mediaType, "content-length": Buffer.byteLength(text), ...closing })
    .end(text);
}

async function removeStaleSocket(socketPath: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const probe = net.connect(socketPath, () => resolve(true));
  probe.once("error", (error) => {
    const code = codeIn(error);
    if (code === "ENOENT" || code === "ECONNREFUSED") resolve(false);
    else reject(error);
  });
  const answered = await promise.finally(() => probe.destroy());
  if (answered) throw new AgentError("API_SOCKET_IN_USE", `another agent serves ${socketPath}`);
  await fs.rm(socketPath, { force: true });
}

async function listen(server: http.Server, socketPath: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const umask = process.umask(0o777 & ~SOCKET_MODE); // from its first instant the socket is for the group only
  server.listen(socketPath, resolve);
  process.umask(umask);
  await promise;
  await fs.chmod(socketPath, SOCKET_MODE);
}

async function close(server: http.Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeAllConnections();
  await closed;
}
