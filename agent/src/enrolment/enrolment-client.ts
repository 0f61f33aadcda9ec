/**
 * The enrolment API's client: JSON over HTTPS, every request signed by the node's key, on connections that trust exactly the
 * authority that the token pinned and speak only to a server that carries the operator's name.
 */
import type { KeyObject } from "node:crypto";
import https from "node:https";
import type { IncomingMessage } from "node:http";
import type { PeerCertificate } from "node:tls";
import {
  JOIN_PATH,
  joinAccepted,
  joinStatus,
  MAX_WAIT_SECONDS,
  problem,
  signRequest,
  type JoinAccepted,
  type JoinBody,
  type JoinStatus,
} from "@saf/protocol";
import type { z } from "zod";
import { AgentError, EnrolmentRefused } from "../errors.ts";
import { nowSeconds, type Clock } from "../schedule/clock.ts";
import { operatorTrustDomain, type PinnedAuthority, type ServerAddress } from "./pinned-authority.ts";

export interface EnrolmentClient {
  /** Idempotent by the node's key. Throws EnrolmentRefused, AgentError SERVER_UNREACHABLE or SERVER_RESPONSE_INVALID. */
  join(body: JoinBody, signal: AbortSignal): Promise<JoinAccepted>;
  /** Hangs until the request is decided or the server's patience is over. Throws as join does. */
  wait(requestId: string, signal: AbortSignal): Promise<JoinStatus>;
  close(): void;
}

export interface EnrolmentClientOptions {
  readonly server: ServerAddress;
  readonly authority: PinnedAuthority;
  readonly privateKey: KeyObject;
  readonly clock: Clock;
}

/** The answer to a join is decided in the ledger; a busy one takes seconds, not tens of them. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A certificate chain and a trust root are about 8 KiB. */
const MAX_RESPONSE_BYTES = 256 * 1024;

interface Exchange {
  readonly method: "GET" | "POST";
  readonly target: string;
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export function createEnrolmentClient(options: EnrolmentClientOptions): EnrolmentClient {
  const { server, authority, privateKey, clock } = options;
  const agent = new https.Agent({
    ca: authority.certificatePem,
    keepAlive: true,
    maxSockets: 1,
    minVersion: "TLSv1.3",
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      requireOperator(certificate, authority),
  });

  async function exchange<T>(schema: z.ZodType<T>, request: Exchange): Promise<T> {
    const { method, target, body } = request;
    const signature = signRequest({ method, target, body }, privateKey, nowSeconds(clock));
    const headers = body === "" ? signature : { ...signature, "content-type": "application/json" };
    return readAnswer(schema, await send({ ...server, agent, path: target, method, headers }, request));
  }

  return {
    join: (body, signal) =>
      exchange(joinAccepted, {
        method: "POST",
        target: JOIN_PATH,
        body: JSON.stringify(body),
        timeoutMs: ANSWER_TIMEOUT_MS,
        signal,
      }),
    wait: (requestId, signal) =>
      exchange(joinStatus, {
        method: "GET",
        target: `${JOIN_PATH}/${requestId}?waitSeconds=${MAX_WAIT_SECONDS}`,
        body: "",
        timeoutMs: MAX_WAIT_SECONDS * 1000 + ANSWER_TIMEOUT_MS,
        signal,
      }),
    close: () => agent.destroy(),
  };
}

/** In place of a host name: an operator is known by its SPIFFE name, wherever it is reached. */
function requireOperator(certificate: PeerCertificate, authority: PinnedAuthority): Error | undefined {
  if (operatorTrustDomain(certificate.subjectaltname) === authority.trustDomain) return undefined;
  return new AgentError("SERVER_UNTRUSTED", "the server's certificate does not name the operator");
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function send(options: https.RequestOptions, { body, timeoutMs, signal }: Exchange): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const request = https.request({ ...options, signal: within }, resolve);
  request.once("error", reject);
  request.end(body);
  try {
    const response = await promise;
    return { status: response.statusCode ?? 0, text: await readBounded(response) };
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    throw new AgentError("SERVER_UNREACHABLE", `no answer from ${options.host}:${options.port}`, { cause });
  } finally {
    request.destroy();
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > MAX_RESPONSE_BYTES)
      throw new AgentError("SERVER_RESPONSE_INVALID", "the answer is too long");
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readAnswer<T>(schema: z.ZodType<T>, { status, text }: Answer): T {
  const json = parseJson(text);
  if (status >= 200 && status < 300) {
    const answer = schema.safeParse(json);
    if (answer.success) return answer.data;
  } else {
    const refusal = problem.safeParse(json);
    if (refusal.success) {
      const { code, detail, instance } = refusal.data;
      throw new EnrolmentRefused(code, status, detail, instance?.replace(/^urn:uuid:/, ""));
    }
  }
  throw new AgentError(
    "SERVER_RESPONSE_INVALID",
    `the server's answer (HTTP ${status}) is not of the enrolment API`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
