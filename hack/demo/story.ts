/**
 * A story is told step by step; each step is checked, not printed on faith. A step returns what it saw, or throws. The first
 * failure ends the telling, because what follows stands on it; the steps not told are counted as skipped, and teardown always runs.
 */
export interface Step<Stage> {
  readonly title: string;
  /** Resolves to what was seen, in a few words. Rejects when the step's claim does not hold. */
  readonly run: (stage: Stage) => Promise<string>;
}

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Teller {
  readonly now: () => number;
  readonly write: (text: string) => void;
}

const TITLE_WIDTH = 74;

export async function tell<Stage>(
  steps: readonly Step<Stage>[],
  stage: Stage,
  teller: Teller,
): Promise<Outcome> {
  for (const [index, step] of steps.entries()) {
    if (!(await tellStep(step, stage, teller)))
      return { passed: index, failed: 1, skipped: steps.length - index - 1 };
  }
  return { passed: steps.length, failed: 0, skipped: 0 };
}

export async function tellStep<Stage>(
  step: Step<Stage>,
  stage: Stage,
  { now, write }: Teller,
): Promise<boolean> {
  const startedAt = now();
  const took = (): string => `${((now() - startedAt) / 1000).toFixed(1)} s`.padStart(8);
  try {
    const seen = await step.run(stage);
    write(`  ✓ ${step.title.padEnd(TITLE_WIDTH)}${took()}\n${indent(seen)}`);
    return true;
  } catch (error) {
    write(`  ✗ ${step.title.padEnd(TITLE_WIDTH)}${took()}\n${indent(describe(error))}`);
    return false;
  }
}

/** @param name What was told: `demo` or `lab`. */
export function closingLine(name: string, { passed, failed, skipped }: Outcome): string {
  return `${name}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function indent(text: string): string {
  return text === "" ? "" : `${text.trimEnd().replaceAll(/^/gm, "      ")}\n`;
}

function describe(error: unknown): string {
  return error instanceof Error
    ? `${error.message}${error.cause ? `\n${describe(error.cause)}` : ""}`
    : String(error);
}
