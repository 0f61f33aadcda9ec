import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { serveTelemetry, type Health, type TelemetryServer } from "./telemetry-server.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };
let ready: Health;
let collections: number;
let server: TelemetryServer;
let base: string;

beforeEach(async () => {
  ready = { ok: true, state: "running", reason: null };
  collections = 0;
  server = serveTelemetry({
    listen: LOOPBACK,
    live: () => ({ ok: true, state: "alive", reason: null }),
    ready: () => ready,
    metrics: async () => `# collection ${(collections += 1)}\n# EOF\n`,
    onError: () => undefined,
  });
  base = `http://127.0.0.1:${(await server.listening).port}`;
});
afterEach(() => server.close());

it("says whether it is ready, and why not", async () => {
  const good = await fetch(`${base}/readyz`);
  expect([good.status, await good.json()]).toEqual([200, { ok: true, state: "running", reason: null }]);
  ready = { ok: false, state: "expired", reason: "SNAPSHOT_EXPIRED" };
  const bad = await fetch(`${base}/readyz?verbose`);
  expect([bad.status, await bad.json()]).toEqual([503, ready]);
  expect((await fetch(`${base}/livez`)).status).toBe(200);
});

it("collects once, however many ask at once", async () => {
  const texts = await Promise.all(
    Array.from({ length: 8 }, async () => (await fetch(`${base}/metrics`)).text()),
  );
  expect(new Set(texts)).toEqual(new Set(["# collection 1\n# EOF\n"]));
  const { headers } = await fetch(`${base}/metrics`);
  expect(headers.get("content-type")).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
});

it("serves nothing else, and changes nothing", async () => {
  expect((await fetch(`${base}/`)).status).toBe(404);
  expect((await fetch(`${base}/metrics/../etc/passwd`)).status).toBe(404);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const response = await fetch(`${base}/metrics`, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
  }
});

it("refuses headers without end", async () => {
  const { port } = await server.listening;
  const [response] = (await once(
    http.get({ port, host: "127.0.0.1", path: "/livez", headers: { filler: "x".repeat(5000) } }),
    "response",
  )) as [http.IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(431);
});

it("has no more than its number of connections", async () => {
  const { port } = await server.listening;
  const sockets = Array.from({ length: 24 }, () => net.connect(port, "127.0.0.1"));
  const closed = sockets
    .filter(() => true)
    .map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  const gone = await new Promise<number>((resolve) => {
    let count = 0;
    for (const socket of sockets)
      socket.on("error", () => undefined).once("close", () => (count += 1) === 8 && resolve(count));
  });
  expect(gone).toBe(8);
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
});

it("answers a kubelet although somebody else holds every connection that there is", async () => {
  const { port } = await server.listening;
  const held: net.Socket[] = [];
  for (let count = 0; count < 16; count += 1) {
    const socket = net.connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
    socket.on("error", () => undefined).write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(socket, "data");
    held.push(socket);
  }
  const lost = once(held[0] as net.Socket, "close");
  for (let probe = 0; probe < 3; probe += 1) expect((await fetch(`${base}/livez`)).status).toBe(200);
  await lost;
  for (const socket of held) socket.destroy();
});

it("goes on trying for a port that another has", async () => {
  const { port } = await server.listening;
  const refused = Promise.withResolvers<unknown>();
  const second = serveTelemetry({
    listen: { address: "127.0.0.1", port },
    live: () => ready,
    ready: () => ready,
    metrics: async () => "",
    onError: refused.resolve,
  });
  expect(await refused.promise).toMatchObject({ code: "EADDRINUSE" });
  await server.close();
  expect((await second.listening).port).toBe(port);
  await second.close();
  server = serveTelemetry({
    listen: LOOPBACK,
    live: () => ready,
    ready: () => ready,
    metrics: async () => "",
    onError: () => undefined,
  });
});
