import fs from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { createToken } from "@saf/protocol";
import { AgentError } from "../errors.ts";
import { startLocalApi, type JoinRequest, type LocalApi, type LocalApiHandlers } from "./local-api.ts";
import type { DiagnosticsView, StatusView } from "./views.ts";

let folder: string;
let socketPath: string;
let api: LocalApi;
let joins: JoinRequest[];
let refusal: Error | null;
const handlers: LocalApiHandlers = {
  status: () => ({ state: "running" }) as StatusView,
  peers: async () => ({ peers: [] }),
  diagnostics: async () => ({ log: ["a line"] }) as unknown as DiagnosticsView,
  join: async (request) => {
    if (refusal) throw refusal;
    joins.push(request);
    return { state: "joining" };
  },
};
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-api-"));
  socketPath = path.join(folder, "api.sock");
  [joins, refusal] = [[], null];
  api = await startLocalApi(socketPath, handlers);
});
afterEach(async () => {
  await api.close();
  await fs.rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly json: unknown;
}
async function call(method: string, target: string, body = ""): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  http.request({ socketPath, method, path: target }, resolve).once("error", reject).end(body);
  const response = await promise;
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, type: response.headers["content-type"], json: JSON.parse(text) };
}
const { token } = createToken({ id: "lab", pin: "p".repeat(43) });
const join = (overrides: object = {}) =>
  call("POST", "/v1/join", JSON.stringify({ server: "https://192.0.2.1:8443", token, ...overrides }));

describe("local API", () => {
  it("answers status and peers", async () => {
    expect(await call("GET", "/v1/status")).toEqual({
      status: 200,
      type: "application/json",
      json: { state: "running" },
    });
    expect((await call("GET", "/v1/peers")).json).toEqual({ peers: [] });
  });

  it("takes a join", async () => {
    expect(await join({ requestedRoles: ["entry"] })).toMatchObject({
      status: 202,
      json: { state: "joining" },
    });
    expect(joins).toMatchObject([{ token: { id: "lab" }, requestedRoles: ["entry"] }]);
  });

  it.each<[string, number, () => Promise<Answer>]>([
    ["NOT_FOUND", 404, () => call("GET", "/v2/status")],
    ["METHOD_NOT_ALLOWED", 405, () => call("DELETE", "/v1/status")],
    ["REQUEST_INVALID", 400, () => call("POST", "/v1/join", "{")],
    ["REQUEST_INVALID", 400, () => call("POST", "/v1/join", "{}")],
    ["REQUEST_INVALID", 400, () => join({ server: "http://192.0.2.1" })],
    ["REQUEST_INVALID", 400, () => join({ surprise: true })],
    ["TOKEN_MALFORMED", 400, () => join({ token: "saf1.lab" })],
    ["REQUEST_TOO_LARGE", 413, () => call("POST", "/v1/join", "x".repeat(17 * 1024))],
  ])("refuses with %s", async (code, status, request) => {
    const answer = await request();
    expect(answer).toMatchObject({ status, type: "application/problem+json", json: { code, status } });
    expect(JSON.stringify(answer.json)).not.toContain(token);
    expect(joins).toEqual([]);
  });

  it("passes a coded refusal on and keeps an unexpected one to the log", async () => {
    refusal = new AgentError("ALREADY_ENROLLED", "a member already");
    expect(await join()).toMatchObject({
      status: 409,
      json: { code: "ALREADY_ENROLLED", detail: "a member already" },
    });
    refusal = new TypeError("secret internals");
    const answer = await join();
    expect(answer).toMatchObject({ status: 500, json: { code: "INTERNAL" } });
    expect(JSON.stringify(answer.json)).not.toContain("internals");
  });

  it("is for the owner and the group only", async () => {
    expect((await fs.stat(socketPath)).mode & 0o777).toBe(0o660);
  });

  it("replaces a dead agent's socket, and refuses a living one's", async () => {
    await expect(startLocalApi(socketPath, handlers)).rejects.toMatchObject({ code: "API_SOCKET_IN_USE" });
    await api.close();
    await leaveStaleSocket(socketPath);
    api = await startLocalApi(socketPath, handlers);
    expect(await call("GET", "/v1/status")).toMatchObject({ status: 200 });
  });
});

/** A socket file that nobody listens on: what kill -9 leaves. */
async function leaveStaleSocket(target: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>((resolve) => {
    server.listen(`${target}.old`, resolve);
  });
  await fs.rename(`${target}.old`, target);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  expect((await fs.stat(target)).isSocket()).toBe(true);
}
