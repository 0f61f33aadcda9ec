/**
 * One HTTPS request to the API server. Credentials and TLS material come from client-node's KubeConfig; connections are our
 * own keep-alive agent's, because KubeConfig makes a new TLS connection for each request.
 */
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { KubeConfig } from "@kubernetes/client-node";
import { KubeError, kubeErrorCodeOf } from "./errors.ts";

/** A list of 1000 nodes is about 5 MB and comes in pages; nothing legitimate is larger than this. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

export interface TransportRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query. */
  readonly target: string;
  readonly contentType?: string;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Transport {
  /** Resolves with the answer's head for a 2xx; its body is the caller's to read. Throws KubeError otherwise. */
  open(request: TransportRequest): Promise<IncomingMessage>;
  close(): void;
}

export function createTransport(config: KubeConfig): Transport {
  const server = config.getCurrentCluster()?.server;
  if (!server) throw new KubeError("REJECTED", "the kubeconfig names no cluster");
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 8 });
  return {
    async open(request) {
      const options = await optionsFor(config, request);
      const answer = await send(new URL(server + request.target), { ...options, agent }, request.body);
      if (isSuccess(answer)) return answer;
      throw await errorFrom(answer);
    },
    close: () => agent.destroy(),
  };
}

async function optionsFor(config: KubeConfig, request: TransportRequest): Promise<RequestOptions> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const contentType = request.contentType === undefined ? {} : { "content-type": request.contentType };
  return {
    ...options,
    method: request.method,
    ...(request.signal ? { signal: request.signal } : {}),
    headers: {
      ...(options.headers as OutgoingHttpHeaders | undefined),
      accept: "application/json",
      "user-agent": "fabric-operator",
      ...contentType,
    },
  };
}

function send(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, options, resolve);
    request.on("error", (cause) => reject(unreachable(cause)));
    request.end(body);
  });
}

/** The whole body, bounded. Throws KubeError TOO_LARGE or UNAVAILABLE. */
export async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_BODY_BYTES)
        throw new KubeError("TOO_LARGE", "the API server's answer is too large");
      chunks.push(chunk);
    }
  } catch (cause) {
    throw cause instanceof KubeError ? cause : unreachable(cause);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function isSuccess({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

async function errorFrom(answer: IncomingMessage): Promise<KubeError> {
  const status = answer.statusCode ?? 0;
  const text = await readBody(answer);
  const { reason, message } = parseStatus(text);
  const retryAfterMs = Number(answer.headers["retry-after"] ?? 0) * 1000 || 0;
  return new KubeError(kubeErrorCodeOf(status, reason), message ?? `HTTP ${status}`, {
    status,
    retryAfterMs,
  });
}

/** The body of a failure is a Status object, or, from something in between, any text. */
function parseStatus(text: string): { reason?: string; message?: string } {
  try {
    return JSON.parse(text) as { reason?: string; message?: string };
  } catch {
    return { message: text.slice(0, 200) };
  }
}

function unreachable(cause: unknown): KubeError {
  return new KubeError("UNAVAILABLE", "the API server cannot be reached", { cause });
}
