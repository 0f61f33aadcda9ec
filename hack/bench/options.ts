/** What the command line asks for. */
import { parseArgs } from "node:util";
import { BenchError } from "./bench-error.ts";

export interface Options {
  readonly quick: boolean;
  readonly rounds: number;
  /** Empty: all. */
  readonly only: readonly string[];
  /** Names, or beginnings of names; empty: all. */
  readonly measures: readonly string[];
  readonly json: string | undefined;
  /** Description files of further contenders. */
  readonly contenders: readonly string[];
  /** Of a transfer; undefined: what the mode chooses. */
  readonly seconds: number | undefined;
  /** Of the fabric's overlay. */
  readonly mtu: number;
  readonly help: boolean;
}

export const USAGE = `npm run bench -- [options]
  --quick               under five minutes: short transfers, two rounds, no slow measures
  --only a,b            only these contenders
  --measures a,b        only measures whose names begin so: tcp1, ping, loss-0.5
  --rounds N            samples of each measure; default 3, or 2 with --quick
  --seconds N           of each transfer; default 6, or 3 with --quick
  --json FILE           write everything that was measured
  --contender FILE      a further contender, described as in hack/bench/contenders/described.ts; may be repeated
  --mtu N               of the fabric's overlay; default 1400`;

const MAX_ROUNDS = 50;
const MAX_SECONDS = 120;

/** Throws BenchError for what it does not understand. */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args);
  const quick = values.quick ?? false;
  return {
    quick,
    rounds: number("rounds", values.rounds ?? (quick ? "2" : "3"), 1, MAX_ROUNDS),
    only: list(values.only),
    measures: list(values.measures),
    json: values.json,
    contenders: values.contender ?? [],
    seconds: values.seconds === undefined ? undefined : number("seconds", values.seconds, 2, MAX_SECONDS),
    mtu: number("mtu", values.mtu ?? "1400", 1280, 9000),
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        only: { type: "string" },
        measures: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        json: { type: "string" },
        contender: { type: "string", multiple: true },
        mtu: { type: "string" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (cause) {
    throw new BenchError((cause as Error).message, { cause });
  }
}

function list(text: string | undefined): string[] {
  return (text ?? "").split(",").flatMap((word) => word.trim() || []);
}

function number(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new BenchError(`--${name}: a whole number from ${min} to ${max}, not ${text}`);
  return value;
}

/** Those that were asked for by name; all without names. Throws BenchError for a name that nothing has. */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[],
  matches: (one: T, name: string) => boolean = (one, name) => one.name === name,
): T[] {
  const unknown = names.find((name) => !all.some((one) => matches(one, name)));
  if (unknown !== undefined)
    throw new BenchError(`${unknown}: there are ${all.map(({ name }) => name).join(", ")}`);
  return all.filter((one) => names.length === 0 || names.some((name) => matches(one, name)));
}
