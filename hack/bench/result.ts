/** Everything that a run has found out, as `--json` writes it. */
import type { ContenderKind } from "./contender.ts";
import type { Figures } from "./measure.ts";
import { ratiosOf, type Ratios } from "./ratios.ts";
import { spread, type Spread } from "./statistics.ts";
import type { Machine } from "./machine.ts";

export const FORMAT = "saf-bench/1";

export interface Sample {
  readonly contender: string;
  readonly measure: string;
  readonly round: number;
  readonly figures: Figures;
}

export interface Failure {
  readonly contender: string;
  readonly measure: string;
  readonly round: number;
  readonly reason: string;
}

/** By contender, then by `<measure>.<figure>`. */
export type Summary = Readonly<Record<string, Readonly<Record<string, Spread>>>>;

export interface Result {
  readonly format: typeof FORMAT;
  readonly startedAt: string;
  readonly seconds: number;
  readonly quick: boolean;
  readonly rounds: number;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly contenders: readonly {
    readonly name: string;
    readonly title: string;
    readonly kind: ContenderKind;
    readonly version: string;
  }[];
  readonly measures: readonly { readonly name: string; readonly title: string }[];
  readonly summary: Summary;
  readonly ratios: Ratios;
  readonly extras: Readonly<Record<string, number | null>>;
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
}

export function summarize(samples: readonly Sample[]): Summary {
  const values = new Map<string, Map<string, number[]>>();
  for (const { contender, measure, figures } of samples) {
    const own = values.get(contender) ?? new Map<string, number[]>();
    values.set(contender, own);
    for (const [figure, value] of Object.entries(figures)) {
      const key = `${measure}.${figure}`;
      own.set(key, [...(own.get(key) ?? []), value]);
    }
  }
  return Object.fromEntries(
    [...values].map(([contender, own]) => [
      contender,
      Object.fromEntries(
        [...own].flatMap(([key, all]) => {
          const seen = spread(all);
          return seen === undefined ? [] : [[key, seen] as const];
        }),
      ),
    ]),
  );
}

export type Findings = Omit<Result, "format" | "summary" | "ratios" | "extras">;

export function resultOf(findings: Findings): Result {
  const summary = summarize(findings.samples);
  const { ratios, extras } = ratiosOf(summary, findings.contenders);
  return { format: FORMAT, ...findings, summary, ratios, extras };
}
