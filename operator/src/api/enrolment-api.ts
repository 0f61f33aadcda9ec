/**
 * The enrolment API: the only thing of the operator that strangers can reach over TCP.
 *
 *   connection limit by source → TLS 1.3 → request limit by source → body ≤ 64 KiB → join-admission / join-poll → ledger
 *
 * It speaks for one term: when the term passes it answers NOT_LEADING, and its owner closes it.
 */
import { randomUUID } from "node:crypto";
import type { Server } from "node:https";
import {
  JOIN_PATH,
  MAX_JOIN_BODY_BYTES,
  MAX_WAIT_SECONDS,
  PROBLEM_MEDIA_TYPE,
  REQUEST_ID_HEADER,
  type ControlIdentity,
  type Endpoint,
} from "@saf/protocol";
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Authority, ServerCertificate } from "../authority/authority.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Attestor } from "../attestation/attestor.ts";
import { guardConnections, type ConnectionGuard } from "./connection-guard.ts";
import { ENROLMENT_LIMITS, type EnrolmentLimits } from "./enrolment-limits.ts";
import { EnrolmentError } from "./errors.ts";
import { createJoinAdmission } from "./join-admission.ts";
import { createJoinPoll } from "./join-poll.ts";
import { asEnrolmentError, problemFor } from "./problem.ts";
import { createRateLimiter, type BucketRate } from "./rate-limiter.ts";
import { addressOf, sourceOf } from "./source.ts";
import { createWaitingPolls } from "./waiting-polls.ts";

/** After a failed renewal of the server's certificate; half its life is left for it. */
const RENEWAL_RETRY_MS = 60_000;
/** Longer than the longest poll. */
const IDLE_SOCKET_MS: number = (MAX_WAIT_SECONDS + 15) * 1000;
/** How often Node looks for connections over their time. */
const TIMEOUT_CHECK_MS = 1_000;

export interface EnrolmentApiInit {
  /** Port 0 takes a free one. */
  readonly listen: Endpoint;
  /** Addresses and names that nodes reach it by, for its certificate. */
  readonly hosts: readonly string[];
  readonly ledger: Ledger;
  readonly authority: Authority;
  /** Proves pods that ask with a service-account token. */
  readonly attestor: Attestor;
  readonly trustDomain: string;
  /** Unix seconds. */
  readonly clock: () => number;
  readonly log: Logger;
  /** `ip:port` of the control sessions; asked at each answer, so that a changed Cluster takes effect. */
  readonly controlEndpoints: () => readonly string[];
  /** A new request is in the ledger. */
  readonly onJoin: (requestId: string) => void;
  /** A request was answered: `OK`, or a code of the protocol. */
  readonly onAnswer?: (call: "join" | "poll" | "other", code: string) => void;
  readonly onConnectionRefused?: () => void;
  readonly limits?: Partial<EnrolmentLimits>;
}

export interface EnrolmentApi {
  readonly address: Endpoint;
  /** Refused so far: requests by code, and connections that got no answer. */
  readonly refusals: () => Readonly<Record<string, number>>;
  /** Wakes the polls of a request that was just decided. */
  decided(requestId: string): void;
  close(): Promise<void>;
}

type Refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** Throws LedgerError, or Node's error when it cannot listen. */
export async function startEnrolmentApi(init: EnrolmentApiInit): Promise<EnrolmentApi> {
  const limits: EnrolmentLimits = { ...ENROLMENT_LIMITS, ...init.limits };
  const certificate = await init.authority.issueServerCertificate(init.hosts);
  const refusals = new Map<string, number>();
  const refuse: Refuse = (error, request, reply) => answerProblem(init, refusals, error, request, reply);
  const app = createApp(limits, certificate, refuse);
  const server = app.server as Server;
  const waiting = createWaitingPolls(limits.waiting);
  const guard = guardConnections(server, limits, monotonicMs, init.onConnectionRefused);
  const stopRenewal = renewCertificate(server, init, certificate.notAfter);

  app.addHook("onRequest", async (request, reply) => void reply.header(REQUEST_ID_HEADER, request.id));
  app.addHook("onRequest", limitBySource(limits.requestsPerSource, "too many requests from your address"));
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply));
  app.setNotFoundHandler(() => {
    throw new EnrolmentError("NOT_FOUND", `there is only ${JOIN_PATH} here`);
  });
  addRoutes(app, init, limits, waiting);
  await app.listen({ host: init.listen.address, port: init.listen.port });

  return {
    address: boundAddress(server),
    refusals: () => tally(refusals, guard),
    decided: (requestId) => waiting.wake(requestId),
    close: async () => {
      stopRenewal();
      waiting.wakeAll();
      await app.close();
    },
  };
}

function createApp(limits: EnrolmentLimits, certificate: ServerCertificate, refuse: Refuse): FastifyInstance {
  const app = fastify({
    https: {
      ...tlsOptions(certificate),
      handshakeTimeout: limits.handshakeMs,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    bodyLimit: MAX_JOIN_BODY_BYTES,
    requestTimeout: limits.requestMs,
    connectionTimeout: IDLE_SOCKET_MS,
    keepAliveTimeout: IDLE_SOCKET_MS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => void refuse(error, request, reply),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    logger: false,
  });
  // The signature is over the bytes as sent.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  return app;
}

function addRoutes(
  app: FastifyInstance,
  init: EnrolmentApiInit,
  limits: EnrolmentLimits,
  waiting: ReturnType<typeof createWaitingPolls>,
): void {
  const { authority } = init;
  const joinsPerToken = createRateLimiter(limits.joinsPerToken, monotonicMs);
  const control = (): ControlIdentity => ({
    endpoints: [...init.controlEndpoints()],
    spiffeId: authority.control.spiffeId,
    fingerprint: authority.control.fingerprint,
  });
  const admit = createJoinAdmission({ ...init, term: authority.term, joinsPerToken });
  const poll = createJoinPoll({ ...init, waiting, control });

  const onRequest = limitBySource(limits.joinsPerSource, "too many joins from your address");
  app.post(JOIN_PATH, { onRequest }, async (request, reply) => {
    const { remoteAddress } = request.socket;
    const [source, address] = [sourceOf(remoteAddress), addressOf(remoteAddress)];
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const { created, ...accepted } = await admit({ headers: request.headers, body, source, address });
    init.log.info({ request: request.id, requestId: accepted.requestId, source, created }, "join requested");
    if (created) init.onJoin(accepted.requestId);
    init.onAnswer?.("join", "OK");
    return reply.code(202).send(accepted);
  });

  app.get(`${JOIN_PATH}/:requestId`, async (request, reply) => {
    const { requestId } = request.params as { requestId: string };
    const { waitSeconds } = request.query as { waitSeconds?: unknown };
    const gone = new AbortController();
    reply.raw.once("close", () => gone.abort());
    const target = request.url;
    const status = await poll({
      requestId,
      waitSeconds,
      headers: request.headers,
      target,
      gone: gone.signal,
    });
    init.onAnswer?.("poll", "OK");
    return status;
  });
}

function limitBySource(rate: BucketRate, detail: string): (request: FastifyRequest) => Promise<void> {
  const limiter = createRateLimiter(rate, monotonicMs);
  return (request) => {
    const retryAfterSeconds = limiter.take(sourceOf(request.socket.remoteAddress));
    if (retryAfterSeconds === 0) return Promise.resolve();
    return Promise.reject(new EnrolmentError("RATE_LIMITED", detail, { retryAfterSeconds }));
  };
}

function answerProblem(
  { log, onAnswer }: EnrolmentApiInit,
  refusals: Map<string, number>,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const refusal = asEnrolmentError(error);
  refusals.set(refusal.code, (refusals.get(refusal.code) ?? 0) + 1);
  onAnswer?.(callOf(request), refusal.code);
  const { id } = request;
  if (refusal.code === "INTERNAL") log.error({ request: id, err: error }, "enrolment request failed");
  else log.debug({ request: id, code: refusal.code, detail: refusal.message }, "enrolment request refused");
  const problem = problemFor(refusal, id);
  reply.header(REQUEST_ID_HEADER, id);
  if (refusal.retryAfterSeconds !== undefined) reply.header("retry-after", refusal.retryAfterSeconds);
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(JSON.stringify(problem));
}

function callOf({ method, routeOptions }: FastifyRequest): "join" | "poll" | "other" {
  if (!routeOptions?.url?.startsWith(JOIN_PATH)) return "other";
  return method === "POST" ? "join" : "poll";
}

/** Renews the server's certificate at half its life, without a connection noticing. Returns how to stop. */
function renewCertificate(server: Server, init: EnrolmentApiInit, notAfter: number): () => void {
  let timer: NodeJS.Timeout;
  const schedule = (delayMs: number): void => {
    timer = setTimeout(() => void renew(), delayMs);
    timer.unref();
  };
  const halfLifeMs = (until: number): number => Math.max(1, (until - init.clock()) / 2) * 1000;
  const renew = async (): Promise<void> => {
    try {
      const certificate = await init.authority.issueServerCertificate(init.hosts);
      server.setSecureContext(tlsOptions(certificate));
      schedule(halfLifeMs(certificate.notAfter));
    } catch (error) {
      init.log.warn({ err: error }, "the enrolment API's certificate could not be renewed yet");
      schedule(RENEWAL_RETRY_MS);
    }
  };
  schedule(halfLifeMs(notAfter));
  return () => clearTimeout(timer);
}

function tlsOptions({ keyPem, chainPem }: ServerCertificate): {
  key: string;
  cert: string;
  minVersion: "TLSv1.3";
} {
  return { key: keyPem, cert: chainPem.join("\n"), minVersion: "TLSv1.3" };
}

function tally(refusals: ReadonlyMap<string, number>, guard: ConnectionGuard): Record<string, number> {
  return { ...Object.fromEntries(refusals), CONNECTION_REFUSED: guard.refused };
}

function boundAddress(server: Server): Endpoint {
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("not listening on TCP");
  return { address: address.address, port: address.port };
}

function monotonicMs(): number {
  return performance.now();
}
