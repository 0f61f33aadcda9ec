/** A node's side of the enrolment API, as exact or as wrong as a test wants it. */
import { Agent, request, type RequestOptions } from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import {
  createCsr,
  JOIN_PATH,
  signRequest,
  type Endpoint,
  type JoinBody,
  type JoinStatus,
  type Problem,
} from "@saf/protocol";
import type { TestFabric, TestNode } from "../../authority/testing/test-fabric.ts";
import { joinInput } from "../../ledger/testing/join-input.ts";

export interface Answer<Body> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
}

export interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

export interface EnrolmentClient {
  send<Body = Problem>(call: Call, signal?: AbortSignal): Promise<Answer<Body>>;
  /** A join that is right but for `overrides`. */
  join<Body = Problem>(node: TestNode, token: Token, overrides?: Partial<JoinBody>): Promise<Answer<Body>>;
  poll<Body = JoinStatus>(
    node: TestNode,
    requestId: string,
    waitSeconds?: number,
    signal?: AbortSignal,
  ): Promise<Answer<Body>>;
  close(): void;
}

export interface Token {
  readonly id: string;
  readonly secret: string;
}

export function createEnrolmentClient(
  fabric: TestFabric,
  server: Endpoint,
  localAddress?: string,
): EnrolmentClient {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 64,
    ca: fabric.authority.caCertificatePem,
    ...(localAddress === undefined ? {} : { localAddress }),
  });

  const send = <Body>(call: Call, signal?: AbortSignal): Promise<Answer<Body>> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer<Body>>();
    const options: RequestOptions = {
      agent,
      host: server.address,
      port: server.port,
      path: call.path,
      method: call.method,
      headers: call.headers,
      signal,
    };
    const outgoing = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(call.body);
    return promise;
  };

  return {
    send,
    join: async <Body>(node: TestNode, token: Token, overrides: Partial<JoinBody> = {}) =>
      send<Body>(await joinCall(fabric, node, token, overrides)),
    poll: <Body>(node: TestNode, requestId: string, waitSeconds = 0, signal?: AbortSignal) =>
      send<Body>(pollCall(fabric, node, requestId, waitSeconds), signal),
    close: () => agent.destroy(),
  };
}

export async function joinCall(
  fabric: TestFabric,
  node: TestNode,
  token: Token,
  overrides: Partial<JoinBody> = {},
): Promise<Call> {
  const { facts, capabilities, requestedRoles, candidates } = joinInput();
  const join: JoinBody = {
    tokenId: token.id,
    secret: token.secret,
    nodeName: node.name,
    csr: await createCsr(node.keyPem, node.name),
    facts,
    capabilities,
    requestedRoles: [...requestedRoles],
    candidates: [...candidates],
    ...overrides,
  };
  return signedPost(fabric, node, JSON.stringify(join));
}

export function signedPost(fabric: TestFabric, node: TestNode, body: string | Buffer): Call {
  const signature = signRequest({ method: "POST", target: JOIN_PATH, body }, node.key, fabric.clock.now);
  return {
    method: "POST",
    path: JOIN_PATH,
    headers: { "content-type": "application/json", ...signature },
    body,
  };
}

export function pollCall(fabric: TestFabric, node: TestNode, requestId: string, waitSeconds: number): Call {
  const path = `${JOIN_PATH}/${requestId}?waitSeconds=${waitSeconds}`;
  const headers = signRequest({ method: "GET", target: path, body: "" }, node.key, fabric.clock.now);
  return { method: "GET", path, headers };
}
