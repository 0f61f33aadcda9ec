/** The agent's local API: HTTP/JSON over a unix socket, on the node itself. Requests and answers are bounded. */
import { request } from "node:http";
import type { DiagnosticsView, JoinStartedView, PeersView, StatusView } from "@saf/agent";
import { problem } from "@saf/protocol";
import { CliError, EXIT } from "../errors.ts";

export const DEFAULT_SOCKET = "/run/fabric/agent.sock";

/** The agent answers from memory; this is patience with a host that swaps. */
const TIMEOUT_MS = 10_000;
/** 10 000 peers of about 3 KB each: as the agent sees them and as the engine describes them, twice. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface JoinOrder {
  server: string;
  token: string;
  requestedRoles: string[];
}

export interface LocalApi {
  status(): Promise<StatusView>;
  peers(): Promise<PeersView>;
  diagnostics(): Promise<DiagnosticsView>;
  join(order: JoinOrder): Promise<JoinStartedView>;
}

export function connectLocalApi(socketPath: string): LocalApi {
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await exchange(socketPath, method, path, body === undefined ? "" : JSON.stringify(body));
    const value = parseJson(answer.text);
    if (answer.status >= 200 && answer.status < 300 && value !== undefined) return value as T;
    throw refusal(answer.status, value);
  };
  return {
    status: () => call("GET", "/v1/status"),
    peers: () => call("GET", "/v1/peers"),
    diagnostics: () => call("GET", "/v1/diagnostics"),
    join: (order) => call("POST", "/v1/join", order),
  };
}

interface Answer {
  status: number;
  text: string;
}

function exchange(socketPath: string, method: string, path: string, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(unreachable(socketPath, error));
    const headers =
      body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const outgoing = request({ socketPath, method, path, headers, signal }, (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) incoming.destroy(new Error("the answer is too long"));
        else chunks.push(chunk);
      });
      incoming.on("error", fail);
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    outgoing.on("error", fail);
    outgoing.end(body);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function refusal(status: number, body: unknown): CliError {
  const parsed = problem.safeParse(body);
  const { code, detail } = parsed.success
    ? parsed.data
    : { code: "AGENT_ANSWER_INVALID", detail: `the agent answered ${status} without saying why` };
  const exit = status === 403 ? EXIT.denied : status === 404 ? EXIT.notFound : EXIT.failure;
  return new CliError(code, detail, { exit });
}

function unreachable(socketPath: string, error: NodeJS.ErrnoException): CliError {
  if (error.code === "EACCES" || error.code === "EPERM") {
    return new CliError("FORBIDDEN", `no permission to talk to the agent at ${socketPath}`, {
      exit: EXIT.denied,
      hint: "use sudo",
      cause: error,
    });
  }
  return new CliError("AGENT_UNREACHABLE", `no agent answers at ${socketPath}: ${error.message}`, {
    exit: EXIT.unreachable,
    hint: "is it running? --socket names another one",
    cause: error,
  });
}
