/**
 * The sockets of the name server, UDP and TCP. A question of the zone is answered at once; any other is passed on, if there is somewhere
 * to pass it to, and refused if not.
 *
 * Only programs of this host and overlay nodes that this node knows are answered, each at a bounded rate, so nobody can be flooded
 * with answers that they did not ask for.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv6, type Server as TcpServer, type Socket as TcpSocket } from "node:net";
import { codeIn } from "../errors.ts";
import { MAX_MESSAGE_BYTES, readMessages, writeMessage } from "./dns-stream.ts";
import { failure, RCODE, readQuery, writeAnswer } from "./message.ts";
import type { Zone } from "./zone.ts";

/** Programs open one at a time; a browser a few. */
const MAX_CONNECTIONS = 64;
/** RFC 7766 §6.2.3: a few seconds. */
const IDLE_CONNECTION_MS = 5_000;
/** A question has at most 255 bytes of name; the rest is room for options. */
const MAX_QUERY_BYTES = 4096;
/** A port that the system chose for UDP is rarely in use for TCP. */
const MAX_PORT_CHOICES = 16;
/** Of one asker. A busy mail server asks hundreds. */
const MAX_QUERIES_PER_SECOND = 2_000;

export type Transport = "udp" | "tcp";
/** Asks another server; null when none answers. */
export type Forward = (
  query: Uint8Array,
  questionBytes: number,
  transport: Transport,
) => Promise<Uint8Array | null>;

/** What the server knows; it may change between two questions. */
export interface Knowledge {
  readonly zone: Zone | null;
  /** Null: what is not of the zone is refused. */
  readonly forward: Forward | null;
}

export interface NameServerOptions {
  readonly sockets: ServerSockets;
  readonly knowledge: () => Knowledge;
  readonly elapsedMs: () => number;
}

export interface ServerSockets {
  readonly udp: UdpSocket;
  readonly tcp: TcpServer;
}

export interface NameServer {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

export function serveNames({ sockets, knowledge, elapsedMs }: NameServerOptions): NameServer {
  const { udp, tcp } = sockets;
  const { address, port } = udp.address();
  const connections = new Set<TcpSocket>();
  let second = 0;
  const asked = new Map<string, number>();

  /** Each second is counted anew, so the memory is bounded by those who may ask. */
  const admits = (source: string): boolean => {
    if (!isLoopback(source) && !knowledge().zone?.knows(source)) return false;
    const now = Math.floor(elapsedMs() / 1000);
    if (now !== second) asked.clear();
    second = now;
    const count = (asked.get(source) ?? 0) + 1;
    asked.set(source, count);
    return count <= MAX_QUERIES_PER_SECOND;
  };

  const answer = async (bytes: Uint8Array, transport: Transport): Promise<Uint8Array | null> => {
    const query = readQuery(bytes);
    if (!query) return null;
    const { zone, forward } = knowledge();
    const maxBytes = transport === "tcp" ? MAX_MESSAGE_BYTES : query.udpBytes;
    const options = { recursive: forward !== null, maxBytes };
    if (query.problem !== null || !query.question)
      return writeAnswer(query, failure(query.problem ?? RCODE.FORMERR), options);
    const own = zone?.answer(query.question);
    if (own) return writeAnswer(query, own, options);
    if (!forward) return writeAnswer(query, failure(RCODE.REFUSED), options);
    const passedOn = await forward(bytes, query.questionBytes.length, transport);
    return passedOn ?? writeAnswer(query, failure(RCODE.SERVFAIL), options);
  };

  udp.on("message", (bytes: Buffer, { address: source, port: sourcePort }: RemoteInfo) => {
    // Port 0 can't be answered, and a name server that answers another's port may talk to it for ever.
    if (bytes.length > MAX_QUERY_BYTES || sourcePort === 0 || !admits(source)) return;
    void reply(bytes, sourcePort, source);
  });
  async function reply(bytes: Buffer, toPort: number, to: string): Promise<void> {
    const said = await answer(bytes, "udp");
    if (said && !closed) udp.send(said, toPort, to, () => undefined); // an asker that is gone is no fault
  }
  udp.on("error", () => undefined); // of a single message: the socket goes on

  tcp.on("error", () => undefined); // of a single connection
  tcp.maxConnections = MAX_CONNECTIONS;
  tcp.on("connection", (socket) => {
    const source = socket.remoteAddress ?? "";
    connections.add(socket);
    socket.setTimeout(IDLE_CONNECTION_MS, () => socket.destroy());
    socket.on("close", () => connections.delete(socket));
    socket.on("error", () => undefined); // "close" follows
    void converse(socket, source)
      .catch(() => undefined)
      .finally(() => socket.destroy());
  });

  /** One question after the other: the next is not read before this one is answered. */
  async function converse(socket: TcpSocket, source: string): Promise<void> {
    for await (const bytes of readMessages(socket, MAX_QUERY_BYTES)) {
      const said = admits(source) ? await answer(bytes, "tcp") : null;
      if (!said || socket.destroyed) return;
      if (!socket.write(writeMessage(said))) await once(socket, "drain");
    }
  }

  let closed = false;
  return {
    address,
    port,
    close: async () => {
      if (closed) return;
      closed = true;
      for (const socket of connections) socket.destroy();
      const both = [once(udp, "close"), once(tcp, "close")];
      udp.close();
      tcp.close();
      await Promise.all(both);
    },
  };
}

/**
 * Port 0: any that is free for UDP and TCP both. Throws what the system says: EACCES for a port below 1024 without the right to it,
 * EADDRINUSE.
 */
export async function bindSockets(address: string, port: number): Promise<ServerSockets> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bindBoth(address, port);
    } catch (error) {
      if (port !== 0 || attempt === MAX_PORT_CHOICES || codeIn(error) !== "EADDRINUSE") throw error;
    }
  }
}

async function bindBoth(address: string, port: number): Promise<ServerSockets> {
  const udp = createSocket(isIPv6(address) ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
  const tcp = createServer();
  try {
    await begin(udp, () => udp.bind({ address, port, exclusive: true }));
    await begin(tcp, () =>
      tcp.listen({ host: address, port: udp.address().port, exclusive: true, ipv6Only: true }),
    );
    return { udp, tcp };
  } catch (error) {
    udp.close();
    throw error;
  }
}

/** Of file descriptors that a supervisor opened: one UDP and one TCP socket, in either order. */
export async function adoptSockets(descriptors: readonly number[]): Promise<ServerSockets> {
  const [first = -1, second = -1] = descriptors;
  try {
    return await adopt(first, second);
  } catch (error) {
    if (codeIn(error) !== "ERR_INVALID_FD_TYPE") throw error;
    return adopt(second, first);
  }
}

async function adopt(udpDescriptor: number, tcpDescriptor: number): Promise<ServerSockets> {
  const [udp, tcp] = [createSocket("udp4"), createServer()];
  await begin(udp, () => udp.bind({ fd: udpDescriptor }));
  await begin(tcp, () => tcp.listen({ fd: tcpDescriptor }));
  return { udp, tcp };
}

async function begin(socket: UdpSocket | TcpServer, start: () => void): Promise<void> {
  const listening = once(socket, "listening");
  start();
  await listening;
}

export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
