/**
 * A contender out of a description file, for programs that are no part of this tree:
 *
 *   { "name": "mine", "title": "My tunnel", "mtu": 1400,
 *     "left":  ["/path/to/mine", "connect", "{tun}", "{local}", "{peer}"],
 *     "right": ["/path/to/mine", "listen",  "{tun}", "{local}", "{peer}"],
 *     "env": { "THREADS": "1" } }
 *
 * The program makes the TUN device `{tun}` in its namespace and lives until it is killed; the bench gives the device its
 * addresses. `{local}` and `{peer}` are `ip:port`. The right end is started first. A file holds one description or an array.
 */
import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { BenchError } from "../bench-error.ts";
import type { Contender } from "../contender.ts";
import type { Slot } from "../device.ts";
import { startPair } from "../pair.ts";
import { startTunnelProcess } from "../tunnel-process.ts";
import { otherSide, PATH_ADDRESSES, type Side } from "../wires.ts";

const MAX_FILE_BYTES = 64 << 10;

const command = z.array(z.string().min(1).max(4096)).min(1).max(64);
const description = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "a name of a-z, 0-9 and -"),
  title: z.string().min(1).max(64).optional(),
  version: z.string().max(128).default("-"),
  mtu: z.int().min(576).max(65_000).default(1400),
  left: command,
  right: command,
  env: z.record(z.string(), z.string()).default({}),
});
export type Description = z.infer<typeof description>;
const file = z.union([z.array(description).max(8), description.transform((one) => [one])]);

/** Throws BenchError, with every fault, for text that describes no contenders. */
export function parseDescriptions(text: string): readonly Description[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BenchError("the contender's description is not JSON", { cause });
  }
  const parsed = file.safeParse(json);
  if (!parsed.success) throw new BenchError(z.prettifyError(parsed.error));
  return parsed.data;
}

export function readDescriptions(path: string): readonly Description[] {
  if (statSync(path).size > MAX_FILE_BYTES) throw new BenchError(`${path} is over ${MAX_FILE_BYTES} bytes`);
  return parseDescriptions(readFileSync(path, "utf8"));
}

export function described(of: Description, place: Slot): Contender {
  return {
    name: of.name,
    title: of.title ?? of.name,
    kind: "reference",
    version: of.version,
    start: (bed) =>
      startPair(bed, {
        place,
        mtu: of.mtu,
        start: (side) => {
          const address = (end: Side): string => `${PATH_ADDRESSES.path1[end]}:${place.port}`;
          const values = { tun: place.device, local: address(side), peer: address(otherSide(side)) };
          return startTunnelProcess(bed, bed[side], of.name, fillIn(of[side], values), of.env);
        },
      }),
  };
}

/** `{name}` for each name that is given; other braces stay. */
export function fillIn(words: readonly string[], values: Readonly<Record<string, string>>): string[] {
  return words.map((word) =>
    word.replaceAll(/\{([a-z]+)\}/g, (whole, name: string) => values[name] ?? whole),
  );
}
