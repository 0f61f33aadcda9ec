/** For tests: an HTTPS server that speaks the enrolment API and remembers every request that reached it. */
import { createPublicKey, type KeyObject } from "node:crypto";
import https from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  joinBody,
  readSignature,
  requestIdFor,
  verifyCsr,
  verifyRequest,
  type JoinBody,
  type JoinStatus,
  type Problem,
} from "@saf/protocol";
import type { IssuedCertificate, TestAuthority } from "./test-authority.ts";

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly signed: boolean;
  readonly body: JoinBody | undefined;
}

export type Answer = { readonly problem: Problem } | { readonly raw: string; readonly status: number };

export interface TestEnrolmentServer {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** TCP connections, whatever came of them. */
  connections(): number;
  /** What the next requests are answered with, before the API is spoken again. */
  answerNext(...answers: Answer[]): void;
  /** What a GET answers from now on. */
  decide(decision: (csr: string) => Promise<JoinStatus>): void;
  close(): Promise<void>;
}

export interface TestEnrolmentServerOptions {
  readonly authority: TestAuthority;
  readonly certificate?: IssuedCertificate;
  /** PEM chain after the leaf; default: the authority's certificate. */
  readonly chain?: string;
}

export function problemOf(code: string, status: number): Answer {
  return { problem: { type: "about:blank", title: code, status, code, detail: `${code} it is` } };
}

export async function startTestEnrolmentServer({
  authority,
  certificate,
  chain = authority.caCertificatePem,
}: TestEnrolmentServerOptions): Promise<TestEnrolmentServer> {
  const { certificatePem, keyPem } = certificate ?? (await authority.issueServer());
  const requests: SeenRequest[] = [];
  const scripted: Answer[] = [];
  const keys = new Map<string, { key: KeyObject; csr: string }>();
  let decision: (csr: string) => Promise<JoinStatus> = async () => ({ state: "pending" });
  let connections = 0;

  const server = https.createServer(
    { cert: `${certificatePem}\n${chain}`, key: keyPem },
    (request, response) => {
      answer(request).then(
        ({ status, text }) => response.writeHead(status, { "content-type": "application/json" }).end(text),
        (error: unknown) => failed(response, error),
      );
    },
  );
  server.on("connection", () => (connections += 1));

  async function answer(request: IncomingMessage): Promise<{ status: number; text: string }> {
    const text = await readAll(request);
    const { method = "", url: target = "" } = request;
    const body = text === "" ? undefined : joinBody.parse(JSON.parse(text));
    const known = body ? await remember(body) : keys.get(target.split(/[/?]/)[3] ?? "");
    const given = readSignature(request.headers);
    const signed = !!known && !!given && verifyRequest({ method, target, body: text }, given, known.key);
    requests.push({ method, target, signed, body });
    const script = scripted.shift();
    if (script)
      return "problem" in script ? problemText(script.problem) : { status: script.status, text: script.raw };
    if (body) {
      const requestId = requestIdFor(body.nodeName, given?.fingerprint ?? "");
      return { status: 202, text: JSON.stringify({ requestId, state: "pending" }) };
    }
    return { status: 200, text: JSON.stringify(await decision(known?.csr ?? "")) };
  }

  async function remember({ csr, nodeName }: JoinBody): Promise<{ key: KeyObject; csr: string }> {
    const { publicKey, fingerprint } = await verifyCsr(csr);
    const known = { key: createPublicKey(publicKey.export({ type: "spki", format: "pem" })), csr };
    keys.set(requestIdFor(nodeName, fingerprint), known);
    return known;
  }

  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    requests,
    connections: () => connections,
    answerNext: (...answers) => scripted.push(...answers),
    decide: (next) => (decision = next),
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

function problemText(problem: Problem): { status: number; text: string } {
  return { status: problem.status, text: JSON.stringify(problem) };
}

function failed(response: ServerResponse, error: unknown): void {
  response.writeHead(500).end(String(error));
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
