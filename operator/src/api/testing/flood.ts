/** A worker that sends one request over and over, as fast as it is answered, over many connections from one address. */
import { Agent, request } from "node:https";
import { parentPort, workerData } from "node:worker_threads";
import type { Call } from "./enrolment-client.ts";

export interface Flood {
  readonly call: Call;
  readonly host: string;
  readonly port: number;
  readonly localAddress: string;
  readonly ca: string;
  readonly count: number;
  readonly connections: number;
}

/** How often each status came back; `failed` are those that got no answer. */
export type FloodResult = Readonly<Record<string, number>>;

const { call, count, connections, ...where } = workerData as Flood;
const agent = new Agent({ ...where, keepAlive: true, maxSockets: connections });
const tally: Record<string, number> = {};
let left = count;

function sendOne(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const outgoing = request({ ...where, agent, method: call.method, path: call.path, headers: call.headers });
  outgoing.on("response", (response) => {
    response.resume();
    response.on("close", () => resolve(String(response.statusCode)));
  });
  outgoing.on("error", () => resolve("failed"));
  outgoing.end(call.body);
  return promise;
}

async function sendMany(): Promise<void> {
  while (left > 0) {
    left -= 1;
    const outcome = await sendOne();
    tally[outcome] = (tally[outcome] ?? 0) + 1;
  }
}

await Promise.all(Array.from({ length: connections }, sendMany));
agent.destroy();
parentPort?.postMessage(tally, []);
