/**
 * One TCP transfer with a checksum, run inside a node's network namespace.
 *   node transfer.ts receive <address> <port>             prints "listening", then {bytes, sha256, seconds}
 *   node transfer.ts send <address> <port> <bytes> [<seconds>]   prints {bytes, sha256, seconds}; not sooner than in that time
 * The bytes are pseudo-random by position, so a swapped or repeated block changes the checksum.
 */
import { createHash, randomBytes } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

const BLOCK_BYTES = 1024 * 1024;
const [mode, address = "", port = "0", size = "0", pace = "0"] = process.argv.slice(2);

if (mode === "receive") await receive();
else if (mode === "send") await send();
else throw new TypeError("receive or send?");

async function receive(): Promise<void> {
  const server = createServer();
  server.listen(Number(port), address);
  await once(server, "listening");
  process.stdout.write("listening\n");
  const [socket] = (await once(server, "connection")) as [Socket];
  server.close();
  const startedAt = performance.now();
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  report(bytes, hash.digest("hex"), startedAt);
}

async function send(): Promise<void> {
  const socket = connect(Number(port), address);
  await once(socket, "connect");
  const startedAt = performance.now();
  const hash = createHash("sha256");
  const total = Number(size);
  const noise = randomBytes(BLOCK_BYTES);
  for (let sent = 0; sent < total; sent += BLOCK_BYTES) {
    const block = Buffer.from(noise.subarray(0, Math.min(BLOCK_BYTES, total - sent)));
    block.writeUInt32LE(sent / BLOCK_BYTES);
    hash.update(block);
    if (!socket.write(block)) await once(socket, "drain");
    const early = startedAt + (sent / total) * Number(pace) * 1000 - performance.now();
    if (early > 0) await delay(early);
  }
  socket.end();
  await once(socket, "close");
  report(total, hash.digest("hex"), startedAt);
}

function report(bytes: number, sha256: string, startedAt: number): void {
  process.stdout.write(
    `${JSON.stringify({ bytes, sha256, seconds: (performance.now() - startedAt) / 1000 })}\n`,
  );
}
