/**
 * The bench: the fabric beside what people use today, over the same two namespaces, in one run.
 *
 *   npm run bench                                                        everything
 *   npm run bench -- --quick                                             under five minutes
 *   npm run bench -- --only fabric,tailscale --measures tcp1,ping        while working on the engine
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { BenchError } from "./bench-error.ts";
import { parseOptions, USAGE, type Options } from "./options.ts";
import { runBench } from "./run-bench.ts";
import { formatTable } from "./table.ts";

/** Asked once, it takes everything down in order; asked twice, it goes at once and the lab's reaper does it. */
const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
void interrupted.then(() => process.once("SIGINT", () => process.exit(130)));

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(USAGE);
  else process.exitCode = await bench(options);
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  console.error(`bench: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
process.exit();

/** Resolves to the exit code: 0 when every measure was made, 130 when it was interrupted. What was measured is told in any case. */
async function bench(options: Options): Promise<number> {
  const { result, finished } = await runBench(options, interrupted, (text) => console.log(`bench: ${text}`));
  console.log(`\n${formatTable(result)}\n`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  if (!finished) return 130;
  return result.failures.length > 0 ? 1 : 0;
}
