import { PassThrough } from "node:stream";
import type { IncomingMessage } from "node:http";
import { linesOf, readWatch } from "./watch-stream.ts";
import type { Transport } from "./transport.ts";

async function* chunks(...parts: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part as string);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function transportOf(...lines: string[]): Transport {
  const answer = Object.assign(new PassThrough(), { setTimeout: () => undefined });
  answer.end(lines.map((line) => `${line}\n`).join(""));
  return { open: async () => answer as unknown as IncomingMessage, close: () => undefined };
}

const options = { resourceVersion: "1", timeoutSeconds: 300, signal: new AbortController().signal };

it("cuts lines wherever the chunks end, even inside a character", async () => {
  const umlaut = Buffer.from("ü");
  const parts = ['{"a":1}\n{"b"', ":2}\n", umlaut.subarray(0, 1), umlaut.subarray(1), "\n"];
  expect(await collect(linesOf(chunks(...parts)))).toEqual(['{"a":1}', '{"b":2}', "ü"]);
});

it("refuses a line without end", async () => {
  const endless = Array.from({ length: 5 }, () => "x".repeat(1024 * 1024));
  await expect(collect(linesOf(chunks(...endless)))).rejects.toMatchObject({ code: "TOO_LARGE" });
});

it("turns the server's ERROR event into an error with its code", async () => {
  const error = JSON.stringify({
    type: "ERROR",
    object: { code: 410, reason: "Expired", message: "too old" },
  });
  const events = readWatch(transportOf(error), "/things", options);
  await expect(collect(events)).rejects.toMatchObject({ code: "GONE", message: "too old" });
});

it("yields events in order", async () => {
  const lines = ["a", "b"].map((name) => JSON.stringify({ type: "ADDED", object: { metadata: { name } } }));
  const events = await collect(readWatch(transportOf(...lines), "/things", options));
  expect(events.map(({ object }) => object.metadata.name)).toEqual(["a", "b"]);
});
