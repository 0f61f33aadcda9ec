/** The client against engines that misbehave: a server in this process that says what the test wants. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "@msgpack/msgpack";
import { connectEngine, EngineError, type Event } from "./index.ts";
import { FrameReader } from "./codec.ts";
import { MAX_PENDING } from "./pending-requests.ts";

const HELLO = { protocol: 1, engineVersion: "0.0.0", instanceId: "i", startedAtMs: 1 };

interface Asked {
  readonly id: number;
  readonly command: { readonly type: string };
}

function frame(message: unknown): Buffer {
  const body = encode(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** Serves each request by `answer`; what that returns is written, byte for byte. */
function misbehaving(answer: (asked: Asked, socket: Socket) => Buffer | undefined): Server {
  return createServer((socket) => {
    const reader = new FrameReader();
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let body = reader.next(); body; body = reader.next()) {
        const bytes = answer(decode(body) as Asked, socket);
        if (bytes) socket.write(bytes);
      }
    });
  });
}

function politeUntil(type: string, answer: (asked: Asked, socket: Socket) => Buffer | undefined): Server {
  return misbehaving((asked, socket) =>
    asked.command.type === type ? answer(asked, socket) : frame({ id: asked.id, result: HELLO }),
  );
}

async function failure(promise: Promise<unknown>): Promise<EngineError> {
  const outcome: unknown = await promise.then(
    () => "resolved",
    (error: unknown) => error,
  );
  if (outcome instanceof EngineError) return outcome;
  throw new Error(`not an EngineError: ${String(outcome)}`);
}

describe("the client of an engine", () => {
  let dir: string;
  let path: string;
  let server: Server | undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "saf-engine-client-"));
    path = join(dir, "engine.sock");
  });

  afterEach(async () => {
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
    await rm(dir, { recursive: true });
  });

  async function serve(engine: Server): Promise<void> {
    server = engine;
    await new Promise<void>((resolve) => engine.listen(path, resolve));
  }

  it("says that nobody listens", async () => {
    expect((await failure(connectEngine(path))).code).toBe("CONNECT_FAILED");
  });

  it("passes on the engine's refusals with their codes", async () => {
    const error = { code: "PROTOCOL_UNSUPPORTED", message: "another" };
    await serve(politeUntil("hello", ({ id }) => frame({ id, error })));
    expect((await failure(connectEngine(path))).code).toBe("PROTOCOL_UNSUPPORTED");
  });

  it("fails with the reason for which the engine ends a connection", async () => {
    const error = { code: "NOT_ALLOWED", message: "uid 7" };
    await serve(
      politeUntil("hello", (_asked, socket) => {
        socket.end(frame({ id: 0, error }));
        return undefined;
      }),
    );
    expect((await failure(connectEngine(path))).code).toBe("NOT_ALLOWED");
  });

  it("gives up on an engine that does not answer", async () => {
    await serve(politeUntil("hello", () => undefined));
    expect((await failure(connectEngine(path, { timeoutMs: 20 }))).code).toBe("TIMEOUT");
  });

  it("ends when its signal is aborted, before, while and after connecting", async () => {
    await serve(politeUntil("hello", () => undefined));
    expect((await failure(connectEngine(path, { signal: AbortSignal.abort() }))).code).toBe("ABORTED");
    const controller = new AbortController();
    const connecting = connectEngine(path, { signal: controller.signal });
    controller.abort();
    expect((await failure(connecting)).code).toBe("ABORTED");
  });

  it("fails what is pending and resolves closed when the engine goes away", async () => {
    await serve(
      politeUntil("describe", (_asked, socket) => {
        socket.destroy();
        return undefined;
      }),
    );
    const client = await connectEngine(path);
    expect(client.hello).toEqual(HELLO);
    expect((await failure(client.describe())).code).toBe("CONNECTION_CLOSED");
    await client.closed;
    expect(client.closeReason?.code).toBe("CONNECTION_CLOSED");
    expect((await failure(client.stop())).code).toBe("CONNECTION_CLOSED");
  });

  it.each([
    ["garbage", "MALFORMED", Buffer.from([0, 0, 0, 3, 0xc1, 0xc1, 0xc1])],
    ["a message that is none", "MALFORMED", frame({ hello: "there" })],
    ["an oversized frame", "FRAME_TOO_LARGE", Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ])("ends the connection on %s with %s", async (_what, code, bytes) => {
    await serve(politeUntil("describe", () => bytes));
    const client = await connectEngine(path);
    expect((await failure(client.describe())).code).toBe(code);
    await client.closed;
    expect(client.closeReason?.code).toBe(code);
  });

  it("delivers events that came in one piece with the answer to hello", async () => {
    const resync = frame({ event: { type: "resync" } });
    await serve(
      politeUntil("hello", ({ id }) => Buffer.concat([frame({ id, result: HELLO }), resync, resync])),
    );
    const client = await connectEngine(path);
    const events: Event[] = [];
    const both = new Promise<void>((resolve) => {
      client.onEvent((event) => {
        if (events.push(event) === 2) resolve();
      });
    });
    await both;
    expect(events).toEqual([{ type: "resync" }, { type: "resync" }]);
    client.close();
  });

  it("bounds what waits for answers", async () => {
    await serve(politeUntil("describe", () => undefined));
    const client = await connectEngine(path);
    const waiting = Array.from({ length: MAX_PENDING }, () => failure(client.describe()));
    expect((await failure(client.describe())).code).toBe("BACKPRESSURE");
    client.close();
    expect(new Set((await Promise.all(waiting)).map(({ code }) => code))).toEqual(
      new Set(["CONNECTION_CLOSED"]),
    );
  });

  it("bounds what the engine has not taken", async () => {
    await serve(
      politeUntil("send", (_asked, socket) => {
        socket.pause();
        return undefined;
      }),
    );
    const client = await connectEngine(path);
    const megabyte = new Uint8Array(1024 * 1024);
    const sent = Array.from({ length: 80 }, () => failure(client.send("p", "k", megabyte)));
    expect((await Promise.race(sent)).code).toBe("BACKPRESSURE");
    client.close();
    const codes = (await Promise.all(sent)).map(({ code }) => code);
    const taken = codes.filter((code) => code === "CONNECTION_CLOSED").length;
    expect(taken).toBeGreaterThanOrEqual(64);
    expect(taken).toBeLessThan(80);
  });

  it("refuses a payload above the bound without sending it", async () => {
    await serve(politeUntil("send", () => undefined));
    const client = await connectEngine(path);
    expect((await failure(client.send("p", "k", new Uint8Array(1024 * 1024 + 1)))).code).toBe("TOO_LARGE");
    client.close();
  });
});
