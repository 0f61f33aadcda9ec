/**
 * Interactive and bulk traffic side by side, run inside a host's namespace; the receiver remembers when nothing came.
 *   node gap-probe.ts receive <address> <port>           a Progress a line every 100 ms; at SIGTERM a last one, with all silences
 *   node gap-probe.ts send <address> <port>              numbered UDP packets every 10 ms, TCP at 300 Mbit/s, until it is killed
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Arrivals } from "./arrivals.ts";

export interface Progress {
  readonly interactive: Arrivals;
  readonly bulk: Arrivals;
}

export const INTERACTIVE_INTERVAL_MS = 10;
const BULK_BITS_PER_SECOND = 300e6;
const REPORT_INTERVAL_MS = 100;
/** Half as long again as the interval of the packets: a packet that is late by the scheduler's doing is no silence. */
const SILENCE_MS = 15;
/** A stream that flaps this often is described well enough. */
const MAX_SILENCES = 1000;
const TICK_MS = 5;
/** What the sender hands to the kernel beyond what it took: as a busy program would. */
const MAX_UNSENT_BYTES = 4 << 20;

export function createRecorder(nowNs: () => number) {
  const silences: (readonly [number, number])[] = [];
  let [firstNs, lastNs, count, highest] = [0, 0, 0, -1];
  return {
    /** `sequence` of a numbered packet. */
    arrived: (sequence?: number): void => {
      const now = nowNs();
      if (count === 0) firstNs = now;
      else if (now - lastNs > SILENCE_MS * 1e6 && silences.length < MAX_SILENCES)
        silences.push([lastNs, now]);
      lastNs = now;
      count += 1;
      if (sequence !== undefined) highest = Math.max(highest, sequence);
    },
    report: (whole: boolean): Arrivals => ({
      firstNs,
      lastNs,
      count,
      silences: whole ? silences : [],
      missing: highest < 0 ? 0 : Math.max(0, highest + 1 - count),
    }),
  };
}

async function receive(address: string, port: number): Promise<void> {
  const nowNs = (): number => Number(process.hrtime.bigint());
  const [interactive, bulk] = [createRecorder(nowNs), createRecorder(nowNs)];
  const packets = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
  packets.on("message", (packet) => interactive.arrived(packet.readUInt32LE(0)));
  packets.bind(port, address);
  const streams = createServer((socket) => {
    socket.on("data", () => bulk.arrived());
    socket.on("error", () => socket.destroy());
  });
  streams.listen(port, address);
  await Promise.all([once(packets, "listening"), once(streams, "listening")]);
  const tell = (whole: boolean): void => {
    const progress: Progress = { interactive: interactive.report(whole), bulk: bulk.report(whole) };
    process.stdout.write(`${JSON.stringify(progress)}\n`, () => whole && process.exit());
  };
  setInterval(() => tell(false), REPORT_INTERVAL_MS);
  process.once("SIGTERM", () => tell(true));
  tell(false);
}

async function send(address: string, port: number): Promise<void> {
  const packets = createSocket("udp4");
  const stream = connect({ host: address, port, noDelay: true });
  await once(stream, "connect");
  const block = Buffer.alloc((BULK_BITS_PER_SECOND / 8000) * TICK_MS);
  const packet = Buffer.alloc(64);
  const startedMs = performance.now();
  let [sequence, blocks] = [0, 0];
  setInterval(() => {
    const elapsedMs = performance.now() - startedMs;
    for (; blocks * TICK_MS < elapsedMs; blocks += 1)
      if (stream.writableLength < MAX_UNSENT_BYTES) stream.write(block);
    for (; sequence * INTERACTIVE_INTERVAL_MS < elapsedMs; sequence += 1) {
      packet.writeUInt32LE(sequence, 0);
      packets.send(Buffer.from(packet), port, address, () => {}); // not sent is as good as lost
    }
  }, TICK_MS);
}

if (import.meta.main) {
  const [mode, address = "", port = "0"] = process.argv.slice(2);
  if (mode === "receive") await receive(address, Number(port));
  else if (mode === "send") await send(address, Number(port));
  else throw new TypeError("receive or send?");
}
