/** `npm run check`: all static checks, one line each with its time. Ends with 1 when any fails. */
import { type Check, staticChecks } from "./checks.ts";

/** Enough to see what is wrong; the tool itself tells the rest. */
const LINES_SHOWN = 80;

const started = performance.now();
const results = await Promise.all(staticChecks(process.env).map(runLane));
const failed = results.flat().filter((passed) => !passed).length;
console.log(`check: ${failed === 0 ? "all passed" : `${failed} failed`} in ${secondsSince(started)} s`);
process.exitCode = failed === 0 ? 0 : 1;

async function runLane(lane: readonly Check[]): Promise<boolean[]> {
  const passed: boolean[] = [];
  for (const check of lane) passed.push(await runCheck(check));
  return passed;
}

async function runCheck(check: Check): Promise<boolean> {
  const begin = performance.now();
  const problem = await check.run();
  console.log(
    `${problem === undefined ? "ok  " : "FAIL"} ${secondsSince(begin).padStart(6)} s  ${check.name}`,
  );
  if (problem !== undefined) console.log(shorten(problem));
  return problem === undefined;
}

function secondsSince(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(1);
}

function shorten(problem: string): string {
  const lines = problem.split("\n");
  const rest = lines.length - LINES_SHOWN;
  const shown = rest > 0 ? [...lines.slice(0, LINES_SHOWN), `… and ${rest} more lines`] : lines;
  return shown.map((line) => `     ${line}`).join("\n");
}
