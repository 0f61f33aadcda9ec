/** A host that asks to join, speaking the enrolment API over plain HTTPS as its documentation says. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { request } from "node:https";
import {
  createCsr,
  createToken,
  fingerprintOfKey,
  generateNodeKey,
  JOIN_PATH,
  joinStatus,
  parseToken,
  requestIdFor,
  signRequest,
  type JoinStatus,
} from "@saf/protocol";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Joiner {
  readonly nodeName: string;
  readonly keyPem: string;
  readonly fingerprint: string;
  readonly requestId: string;
  ask(token: string, fields?: object): Promise<Answer>;
  /** With the proof that `fields` give. */
  askAs(fields: object): Promise<Answer>;
  poll(waitSeconds?: number): Promise<JoinStatus>;
}

/** @param localAddress Where it asks from; 127.0.0.1 by default. */
export function createJoiner(
  port: number,
  nodeName: string,
  localAddress?: string,
  /** By which its clock is wrong. */
  skewSeconds = 0,
): Joiner {
  const keyPem = generateNodeKey();
  const key = createPrivateKey(keyPem);
  const fingerprint = fingerprintOfKey(key);
  const requestId = requestIdFor(nodeName, fingerprint);
  const askAs: Joiner["askAs"] = async (fields) => {
    const body = {
      nodeName,
      csr: await createCsr(keyPem, nodeName),
      facts: {
        hostname: nodeName,
        os: "linux",
        arch: "x64",
        kernel: "6.1",
        cpus: 2,
        memoryBytes: 1e9,
        agentVersion: "0.1.0",
      },
      capabilities: { protocolVersions: ["saf/1"] },
      requestedRoles: [],
      candidates: [],
      ...fields,
    };
    return send({ port, localAddress, skewSeconds }, key, "POST", JOIN_PATH, JSON.stringify(body));
  };
  return {
    nodeName,
    keyPem,
    fingerprint,
    requestId,
    askAs,
    async ask(token, fields = {}) {
      const { id, secret } = parseToken(token);
      return askAs({ tokenId: id, secret, ...fields });
    },
    async poll(waitSeconds = 0) {
      const target = `${JOIN_PATH}/${requestId}?waitSeconds=${waitSeconds}`;
      const answer = await send({ port, localAddress, skewSeconds }, key, "GET", target, "");
      return joinStatus.parse(answer.body);
    },
  };
}

/** A token whose secret only its holder knows, and the JoinToken object for it. */
export function makeToken(id: string, pin: string, spec: object = {}): { token: string; object: object } {
  const { token, hash } = createToken({ id, pin });
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const object = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "JoinToken",
    metadata: { name: id },
    spec: { tokenHash: hash, expiresAt, maxUses: 10, ...spec },
  };
  return { token, object };
}

function send(
  {
    skewSeconds,
    ...to
  }: { readonly port: number; readonly localAddress: string | undefined; readonly skewSeconds: number },
  key: KeyObject,
  method: string,
  target: string,
  body: string,
): Promise<Answer> {
  const headers = signRequest({ method, target, body }, key, Math.floor(Date.now() / 1000) + skewSeconds);
  return new Promise((resolve, reject) => {
    // The pin is the agent's business; here the server is our own.
    const options = { ...to, host: "127.0.0.1", path: target, method, rejectUnauthorized: false };
    const call = request({
      ...options,
      headers: { ...headers, ...(body && { "content-type": "application/json" }) },
    });
    call.once("error", reject);
    call.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
      });
    });
    call.end(body);
  });
}
