/**
 * The client and the engine's own binary: one process without a tunnel on loopback, asked for everything that needs no peer.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { generateKeyPairSync } from "node:crypto";
import { artifacts } from "../../hack/bootstrap/artifacts.ts";
import { decodeMessage, FrameReader } from "./codec.ts";
import { connectEngine, type Desired, type EngineClient, EngineError } from "./index.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  return "none";
}

function desired(): Desired {
  const expiresAtMs = Date.now() + 60_000;
  return {
    revision: 1,
    trustDomain: "test.internal",
    expiresAtMs,
    authority: { term: 1, epoch: 1 },
    identity: { spiffeId: "spiffe://test.internal/node/a", certificateChainPem: [], caCertificatesPem: [] },
    tunnel: null,
    peers: [],
    revoked: [],
    trafficRules: [],
  };
}

describe("a running engine", () => {
  let dir: string;
  let socket: string;
  const engines: ChildProcess[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "saf-real-engine-"));
    socket = join(dir, "engine.sock");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    await writeFile(join(dir, "node.key"), privateKey.export({ type: "pkcs8", format: "pem" }));
    const config = {
      socket,
      allowedUids: [process.getuid?.() ?? 0],
      keyFile: join(dir, "node.key"),
      stateDir: dir,
      listen: ["127.0.0.1:0"],
      tunnel: null,
    };
    await writeFile(join(dir, "engine.json"), JSON.stringify(config));
  });

  afterEach(async () => {
    for (const engine of engines.splice(0)) {
      if (engine.exitCode === null && engine.signalCode === null) {
        engine.kill("SIGKILL");
        await once(engine, "exit");
      }
    }
    await rm(dir, { recursive: true });
  });

  /** Resolves when the engine says that it has started, or that it can't run. */
  async function start(): Promise<ChildProcess> {
    const engine = spawn(artifacts().engine, ["--config", join(dir, "engine.json")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    engines.push(engine);
    for await (const line of createInterface(engine.stderr)) {
      if (/engine started|can't run/.test(line)) break;
    }
    engine.stderr.resume();
    return engine;
  }

  async function connected<T>(use: (client: EngineClient) => Promise<T>): Promise<T> {
    const client = await connectEngine(socket);
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  it("greets and describes itself", async () => {
    await start();
    await connected(async (client) => {
      const state = await client.describe();
      expect(client.hello.protocol).toBe(1);
      expect(state.instanceId).toBe(client.hello.instanceId);
      expect(state).toMatchObject({ revision: 0, identity: null, tunnel: null, peers: [] });
      expect(state.listen[0]).toMatch(/^127\.0\.0\.1:\d+$/);
    });
  });

  it("refuses what it can't do with a code and stays usable", async () => {
    await start();
    await connected(async (client) => {
      expect(await codeOf(client.apply(desired()))).toBe("IDENTITY_INVALID");
      const unknownField = { ...desired(), surprise: true };
      expect(await codeOf(client.apply(unknownField))).toBe("MALFORMED");
      const revoked = Array.from({ length: 10_001 }, () => "0".repeat(64));
      expect(await codeOf(client.apply({ ...desired(), revoked }))).toBe("LIMIT_EXCEEDED");
      expect(await codeOf(client.send("nobody", "kind", new Uint8Array()))).toBe("NO_SESSION");
      expect(await codeOf(client.send("nobody", "", new Uint8Array()))).toBe("INVALID_ARGUMENT");
      await client.stop();
      expect((await client.describe()).revision).toBe(0);
    });
  });

  it("answers many requests at once", async () => {
    await start();
    await connected(async (client) => {
      const states = await Promise.all(Array.from({ length: 200 }, () => client.describe()));
      expect(new Set(states.map(({ instanceId }) => instanceId)).size).toBe(1);
    });
  });

  it("ends the connection of a client that sends an oversized frame, and serves the next", async () => {
    await start();
    const raw = createConnection(socket);
    const reader = new FrameReader();
    raw.on("data", (chunk) => reader.push(chunk));
    raw.on("error", () => undefined);
    raw.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    await once(raw, "close");
    const answer = reader.next();
    expect(answer && decodeMessage(answer)).toMatchObject({ id: 0, error: { code: "FRAME_TOO_LARGE" } });
    await connected((client) => client.describe());
  });

  it("goes on without its client, and is another instance after a restart", async () => {
    const engine = await start();
    const first = await connected((client) => client.describe());
    const second = await connected((client) => client.describe());
    expect(second.instanceId).toBe(first.instanceId);
    const client = await connectEngine(socket);
    // Its sockets close one after another: nobody answers for certain only when it has ended.
    const ended = once(engine, "exit");
    engine.kill("SIGKILL");
    await Promise.all([client.closed, ended]);
    expect(client.closeReason?.code).toBe("CONNECTION_CLOSED");
    expect(await codeOf(connectEngine(socket))).toBe("CONNECT_FAILED");
    await start();
    const restarted = await connected((again) => again.describe());
    expect(restarted.instanceId).not.toBe(first.instanceId);
  });

  it("is alone on its socket", async () => {
    await start();
    const second = await start();
    if (second.exitCode === null) await once(second, "exit");
    expect(second.exitCode).toBe(1);
    await connected((client) => client.describe());
  });

  it("ends in order on SIGTERM and takes its socket with it", async () => {
    const engine = await start();
    const client = await connectEngine(socket);
    engine.kill("SIGTERM");
    await Promise.all([client.closed, once(engine, "exit")]);
    expect(engine.exitCode).toBe(0);
    await expect(stat(socket)).rejects.toThrow("ENOENT");
  });
});
