/**
 * Passes questions on to the name servers that the host had before, in their order, and their answers back.
 *
 * Each attempt has a socket of its own, connected to the server: the kernel lets nobody else's packets in, and port and id are both
 * new (RFC 5452). What is not an answer to this very question is not believed.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { MAX_MESSAGE_BYTES, readMessages, writeMessage } from "./dns-stream.ts";
import { answersTo, withId } from "./message.ts";
import type { Forward, Transport } from "./name-server.ts";

/** Two servers are tried before a resolver's usual five seconds are over. */
const ATTEMPT_TIMEOUT_MS = 2_000;
/** One socket each. A page of a browser asks for dozens of names at once. */
const MAX_IN_FLIGHT = 256;
const DNS_PORT = 53;

export interface ForwarderOptions {
  /** IP addresses, the first one first. */
  readonly servers: readonly string[];
  readonly port?: number;
  readonly timeoutMs?: number;
}

export function createForwarder({
  servers,
  port = DNS_PORT,
  timeoutMs = ATTEMPT_TIMEOUT_MS,
}: ForwarderOptions): Forward {
  let inFlight = 0;

  const ask = async (
    query: Uint8Array,
    questionBytes: number,
    transport: Transport,
  ): Promise<Uint8Array | null> => {
    for (const server of servers) {
      const own = withId(query, randomInt(0x10000));
      const believed = (response: Uint8Array): boolean => answersTo(own, response, questionBytes);
      const attempt = transport === "udp" ? askOverUdp : askOverTcp;
      const response = await attempt(own, { server, port, timeoutMs, believed });
      if (response) return withId(response, (query[0] ?? 0) * 256 + (query[1] ?? 0));
    }
    return null;
  };

  return async (query, questionBytes, transport) => {
    if (inFlight >= MAX_IN_FLIGHT) return null;
    inFlight += 1;
    try {
      return await ask(query, questionBytes, transport);
    } finally {
      inFlight -= 1;
    }
  };
}

interface Attempt {
  readonly server: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly believed: (response: Uint8Array) => boolean;
}

function askOverUdp(
  query: Uint8Array,
  { server, port, timeoutMs, believed }: Attempt,
): Promise<Uint8Array | null> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | null>();
  const socket = createSocket(isIPv6(server) ? "udp6" : "udp4");
  const timer = setTimeout(() => resolve(null), timeoutMs);
  socket.on("error", () => resolve(null)); // refused or unreachable: the next one
  socket.on("message", (response) => {
    if (believed(response)) resolve(response);
  });
  socket.connect(port, server, () => socket.send(query, (error) => error && resolve(null)));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.close();
  });
}

async function askOverTcp(
  query: Uint8Array,
  { server, port, timeoutMs, believed }: Attempt,
): Promise<Uint8Array | null> {
  const socket = connect({ host: server, port });
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  try {
    socket.write(writeMessage(query));
    for await (const response of readMessages(socket, MAX_MESSAGE_BYTES))
      return believed(response) ? response : null;
    return null;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
