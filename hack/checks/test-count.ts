/** How many tests a tool ran, read from what it says at its end. Pure. */

export interface TestCount {
  readonly passed: number;
  readonly failed: number;
}

export function addCounts(a: TestCount, b: TestCount): TestCount {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed };
}

/** The last `<name>: N passed, M failed`; undefined when there is none. */
export function countOfSummary(name: string, output: string): TestCount | undefined {
  return lastMatch(output, new RegExp(`^${name}: (\\d+) passed, (\\d+) failed$`, "gm"));
}

/** The sum over cargo's test binaries, each of which ends with its own line; undefined when there is none. */
export function countOfCargo(output: string): TestCount | undefined {
  const lines = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed/gm)];
  return lines.length === 0 ? undefined : lines.map(toCount).reduce(addCounts);
}

/** jest's `Tests: 1 failed, 2 skipped, 3 passed, 6 total`; undefined when there is none. */
export function countOfJest(output: string): TestCount | undefined {
  const line = output.match(/^Tests: .*\d+ total$/gm)?.at(-1);
  if (line === undefined) return undefined;
  const number = (word: string): number => Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0);
  return { passed: number("passed"), failed: number("failed") };
}

/** One line for each check, beginning with `ok` or `FAIL`; undefined when there is none. */
export function countOfChecks(output: string): TestCount | undefined {
  const passed = output.match(/^ok /gm)?.length ?? 0;
  const failed = output.match(/^FAIL /gm)?.length ?? 0;
  return passed + failed === 0 ? undefined : { passed, failed };
}

function lastMatch(output: string, pattern: RegExp): TestCount | undefined {
  const match = [...output.matchAll(pattern)].at(-1);
  return match === undefined ? undefined : toCount(match);
}

function toCount([, passed, failed]: RegExpExecArray): TestCount {
  return { passed: Number(passed), failed: Number(failed) };
}
