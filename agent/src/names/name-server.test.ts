/** The server as programs see it: asked by c-ares, and by sockets that do what no resolver does. */
import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import path from "node:path";
import { readMessages, writeMessage } from "./dns-stream.ts";
import { createForwarder } from "./forwarder.ts";
import { RCODE, TYPE, writeQuery } from "./message.ts";
import { bindSockets, serveNames, type Knowledge, type NameServer } from "./name-server.ts";
import { createZone, type Host } from "./zone.ts";

const ORIGIN = "home.fabric.internal";
const hosts = Array.from({ length: 40 }, (_, index): Host => ({
  name: index < 2 ? `usa-${index}` : "many",
  addresses: { ipv4: `100.96.0.${index + 6}`, ipv6: `fd5a::${index + 6}` },
}));
const zone = createZone({
  origin: ORIGIN,
  server: "usa-0",
  serial: 1,
  pools: ["100.96.0.0/16", "fd5a::/64"],
  hosts,
});

let servers: NameServer[];
let sockets: Socket[];
let elapsedMs: number;
beforeEach(() => ([servers, sockets, elapsedMs] = [[], [], 0]));
afterEach(async () => {
  for (const server of servers) await server.close();
  for (const socket of sockets) socket.close();
});

async function serve(knowledge: Partial<Knowledge> = {}, address = "127.0.0.1"): Promise<NameServer> {
  const known = { zone, forward: null, ...knowledge };
  const server = serveNames({
    sockets: await bindSockets(address, 0),
    knowledge: () => known,
    elapsedMs: () => elapsedMs,
  });
  servers.push(server);
  return server;
}

function resolverOf({ address, port }: NameServer): Resolver {
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`]);
  return resolver;
}

/** All that comes back until the asker's last question, whose id is 9, is answered. */
async function answersOverUdp(
  { address, port }: NameServer,
  queries: readonly Uint8Array[],
  from = "127.0.0.1",
): Promise<Buffer[]> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  socket.bind(0, from);
  await once(socket, "listening");
  const answers: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("message", (message) => (message.readUInt16BE() === 9 ? resolve() : void answers.push(message)));
  for (const query of queries) socket.send(query, port, address);
  socket.send(writeQuery(9, { name: ORIGIN, type: TYPE.SOA }), port, address);
  await promise;
  return answers;
}

async function answerOverUdp({ address, port }: NameServer, query: Uint8Array): Promise<Buffer> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  socket.send(query, port, address);
  const [answer] = (await once(socket, "message")) as [Buffer];
  return answer;
}

async function askOverTcp(server: NameServer, bytes: Uint8Array): Promise<Buffer[]> {
  const socket = connect(server.port, server.address);
  socket.write(bytes);
  const answers: Buffer[] = [];
  try {
    for await (const message of readMessages(socket, 65_535)) {
      answers.push(Buffer.from(message));
      socket.end();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
  return answers;
}

const rcodeOf = (answer: Buffer | undefined) => (answer?.readUInt16BE(2) ?? -1) & 15;

/** A name server of the outside world: answers what `reply` makes of a query. */
async function upstream(reply: (query: Buffer) => readonly Buffer[], address = "127.0.0.1", port = 0) {
  const socket = createSocket("udp4");
  sockets.push(socket);
  const asked: Buffer[] = [];
  socket.on("message", (query, { port: from, address: source }) => {
    asked.push(query);
    for (const answer of reply(query)) socket.send(answer, from, source);
  });
  socket.bind(port, address);
  await once(socket, "listening");
  return { port: socket.address().port, asked };
}
const saying = (query: Buffer, rcode: number): Buffer => {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8180 | rcode, 2);
  return answer;
};

describe("a resolver that asks", () => {
  it.each(["127.0.0.1", "::1"])("gets what the zone holds, at %s", async (address) => {
    const resolver = resolverOf(await serve({}, address));
    expect(await resolver.resolve4(`USA-1.${ORIGIN}`, { ttl: true })).toEqual([
      { address: "100.96.0.7", ttl: 30 },
    ]);
    expect(await resolver.resolve6(`usa-1.${ORIGIN}`)).toEqual(["fd5a::7"]);
    expect(await resolver.reverse("fd5a::7")).toEqual([`usa-1.${ORIGIN}`]);
    expect(await resolver.reverse("100.96.0.6")).toEqual([`usa-0.${ORIGIN}`]);
    expect(await resolver.resolveSoa(ORIGIN)).toMatchObject({
      nsname: `usa-0.${ORIGIN}`,
      serial: 1,
      minttl: 30,
    });
    expect(await resolver.resolveNs(ORIGIN)).toEqual([`usa-0.${ORIGIN}`]);
    await expect(resolver.resolve4(`usa-9.${ORIGIN}`)).rejects.toMatchObject({ code: "ENOTFOUND" });
    await expect(resolver.resolveTxt(`usa-1.${ORIGIN}`)).rejects.toMatchObject({ code: "ENODATA" });
    await expect(resolver.resolve4("example.org")).rejects.toMatchObject({ code: "EREFUSED" });
  });

  it("comes back over TCP for what UDP does not hold", async () => {
    expect(await resolverOf(await serve()).resolve4(`many.${ORIGIN}`)).toHaveLength(38);
  });

  it("is refused everything while there is no zone", async () => {
    const resolver = resolverOf(await serve({ zone: null }));
    await expect(resolver.resolve4(`usa-1.${ORIGIN}`)).rejects.toMatchObject({ code: "EREFUSED" });
  });
});

describe("who asks too much or too strangely", () => {
  const query = writeQuery(1, { name: `usa-1.${ORIGIN}`, type: TYPE.A });

  it("gets no answer to an answer, to noise and to what is too long", async () => {
    const answer = Buffer.from(query);
    answer.writeUInt16BE(0x8000, 2);
    const server = await serve();
    expect(
      await answersOverUdp(server, [answer, Buffer.alloc(5), Buffer.alloc(4097), Buffer.alloc(0)]),
    ).toEqual([]);
  });

  it("gets so many answers a second, and more in the next; others are not held up", async () => {
    const server = await serve();
    for (let second = 0; second < 2; second += 1) {
      elapsedMs = second * 1000;
      for (let asked = 0; asked < 2000; asked += 100) {
        const batch = Array.from({ length: 99 }, () => query);
        expect(await answersOverUdp(server, batch)).toHaveLength(99);
      }
    }
    const greedy = createSocket("udp4");
    sockets.push(greedy);
    greedy.on("message", () => expect("an answer").toBe("none"));
    await new Promise((resolve) => greedy.send(query, server.port, server.address, resolve));
    expect(await answersOverUdp(server, [query], "127.0.0.2")).toHaveLength(1);
  });

  it("loses a TCP connection that says nothing sensible, and the server goes on", async () => {
    const server = await serve();
    expect(await askOverTcp(server, Buffer.from([0xff, 0xff, 1, 2, 3]))).toEqual([]);
    expect(await askOverTcp(server, writeMessage(Buffer.alloc(4)))).toEqual([]);
    const [answer] = await askOverTcp(server, writeMessage(query));
    expect(rcodeOf(answer)).toBe(RCODE.NOERROR);
  });

  it("gets its answers over TCP in order, however the questions are cut", async () => {
    const server = await serve();
    const socket = connect(server.port, server.address);
    const both = Buffer.concat([
      writeMessage(query),
      writeMessage(writeQuery(2, { name: ORIGIN, type: TYPE.NS })),
    ]);
    for (const byte of both) socket.write(Buffer.of(byte));
    const ids: number[] = [];
    for await (const message of readMessages(socket, 65_535)) {
      ids.push(Buffer.from(message).readUInt16BE());
      if (ids.length === 2) break;
    }
    expect(ids).toEqual([1, 2]);
  });
});

describe("questions that are passed on", () => {
  const forwardTo = (port: number, list = ["127.0.0.1"], timeoutMs = 500) =>
    createForwarder({ servers: list, port, timeoutMs });
  const foreign = writeQuery(77, { name: "example.org", type: TYPE.A });

  it("go to the server that was there before, under another id, and the zone's do not", async () => {
    const other = await upstream((query) => [saying(query, RCODE.NXDOMAIN)]);
    const server = await serve({ forward: forwardTo(other.port) });
    const answer = await answerOverUdp(server, foreign);
    expect(answer.readUInt16BE()).toBe(77);
    expect(rcodeOf(answer)).toBe(RCODE.NXDOMAIN);
    await answersOverUdp(server, [writeQuery(1, { name: `usa-1.${ORIGIN}`, type: TYPE.A })]);
    expect(other.asked).toHaveLength(1);
  });

  it("are answered only by an answer to them", async () => {
    const lies = (query: Buffer): Buffer[] => {
      const [id, name] = [saying(query, RCODE.REFUSED), saying(query, RCODE.REFUSED)];
      id.writeUInt16BE(query.readUInt16BE() ^ 1);
      name.writeUInt8(0x78, 13);
      return [id, name, query, Buffer.alloc(3), saying(query, RCODE.NXDOMAIN)];
    };
    const other = await upstream(lies);
    const server = await serve({ forward: forwardTo(other.port) });
    await expect(resolverOf(server).resolve4("example.org")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });

  it("go to the next server when one is silent or absent, and fail when all are", async () => {
    const silent = await upstream(() => []);
    const other = await upstream((query) => [saying(query, RCODE.NXDOMAIN)], "127.0.0.2", silent.port);
    const order = ["127.0.0.1", "127.0.0.3", "127.0.0.2"];
    const server = await serve({ forward: forwardTo(silent.port, order, 100) });
    await expect(resolverOf(server).resolve4("example.org")).rejects.toMatchObject({ code: "ENOTFOUND" });
    expect(other.asked).toHaveLength(1);
    const lost = await serve({ forward: forwardTo(silent.port, ["127.0.0.1"], 100) });
    await expect(resolverOf(lost).resolve4("example.org")).rejects.toMatchObject({ code: "ESERVFAIL" });
  });

  it("over TCP go on over TCP", async () => {
    const behind = await serve();
    const server = await serve({ zone: null, forward: forwardTo(behind.port) });
    const [answer] = await askOverTcp(
      server,
      writeMessage(writeQuery(3, { name: `many.${ORIGIN}`, type: TYPE.A })),
    );
    expect(answer?.readUInt16BE()).toBe(3);
    expect(answer?.readUInt16BE(6)).toBe(38);
    const [failed] = await askOverTcp(
      await serve({ zone: null, forward: forwardTo(1) }),
      writeMessage(foreign),
    );
    expect(rcodeOf(failed)).toBe(RCODE.SERVFAIL);
  });

  it("are bounded in number: what is too much fails at once", async () => {
    const silent = await upstream(() => []);
    const forward = forwardTo(silent.port, ["127.0.0.1"], 300);
    const waiting = Array.from({ length: 256 }, () => forward(foreign, foreign.length - 12, "udp"));
    const before = performance.now();
    expect(await forward(foreign, foreign.length - 12, "udp")).toBeNull();
    expect(performance.now() - before).toBeLessThan(150);
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => null));
  });
});

it("takes the sockets that a supervisor opened", async () => {
  const own = await bindSockets("127.0.0.1", 0);
  const { port } = own.udp.address();
  const program = path.join(import.meta.dirname, "../testing/serve-given-sockets.ts");
  const script = 'export LISTEN_PID=$$ && exec "$0" "$1"';
  const child = spawn("sh", ["-c", script, process.execPath, program], {
    stdio: ["ignore", "pipe", "inherit", descriptorOf(own.tcp), descriptorOf(own.udp)],
    env: { ...process.env, LISTEN_FDS: "2" },
  });
  own.udp.close();
  own.tcp.close();
  try {
    const [ready] = (await Promise.race([once(child.stdout!, "data"), once(child, "exit")])) as [Buffer];
    expect(String(ready)).toBe(`127.0.0.1:${port}\n`);
    const server = { address: "127.0.0.1", port } as NameServer;
    expect(await resolverOf(server).resolveNs(ORIGIN)).toEqual([`given.${ORIGIN}`]);
    const [answer] = await askOverTcp(server, writeMessage(writeQuery(1, { name: ORIGIN, type: TYPE.NS })));
    expect(rcodeOf(answer)).toBe(RCODE.NOERROR);
  } finally {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
});

/** Node shows it nowhere else. */
function descriptorOf(socket: object): number {
  const state = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === "state symbol");
  const holder = (state ? Reflect.get(socket, state) : socket) as {
    handle?: { fd: number };
    _handle?: { fd: number };
  };
  return holder.handle?.fd ?? holder._handle?.fd ?? -1;
}
