/**
 * The bench: the fabric beside what people use today, over the same two namespaces, in one run.
 *
 *   npm run bench                                                        everything, about half an hour
 *   npm run bench -- --quick                                             under five minutes
 *   npm run bench -- --only fabric,tailscale --measures tcp1,ping        while working on the engine
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { BenchError } from "./bench-error.ts";
import { allContenders, buildBinaries } from "./contenders.ts";
import { readDescriptions } from "./contenders/described.ts";
import { startFabricPair, type FabricPair } from "./contenders/fabric.ts";
import { readMachine } from "./machine.ts";
import type { Measure } from "./measure.ts";
import { allMeasures } from "./measures.ts";
import { chosen, parseOptions, USAGE, type Options } from "./options.ts";
import { resultOf, type Failure, type Sample } from "./result.ts";
import { runSession } from "./session.ts";
import { formatTable } from "./table.ts";
import { createTestbed } from "./testbed.ts";
import { readVersions } from "./versions.ts";

const say = (text: string): void => void process.stdout.write(`bench: ${text}\n`);
/** Asked once, it takes everything down in order; asked twice, it goes at once and the lab's reaper does it. */
const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]).then(
  () => true as const,
);
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

/** Resolves to the exit code: 0 when every measure was made. */
async function bench(options: Options): Promise<number> {
  const startedAt = new Date();
  const binaries = buildBinaries(say);
  const versions = readVersions();
  const descriptions = options.contenders.flatMap(readDescriptions);
  let fabric: FabricPair | undefined;
  const everyone = allContenders(binaries, descriptions, versions["tree"] ?? "", () => {
    if (fabric === undefined) throw new BenchError("the fabric is not up");
    return fabric;
  });
  const contenders = chosen(everyone, options.only);
  const named = chosen(allMeasures, options.measures, ({ name }, word) => name.startsWith(word));
  const measures = named.filter(({ slow }) => !(options.quick && slow) || options.measures.length > 0);
  const seconds = options.seconds ?? (options.quick ? 3 : 6);
  const once = ({ ground }: Measure): boolean => options.quick && ground !== "near";
  const effort = { seconds, pings: options.quick ? 300 : 1000 };

  const samples: Sample[] = [];
  const failures: Failure[] = [];
  const log = {
    say,
    sample: (sample: Sample) => {
      samples.push(sample);
      say(
        `${String(sample.round).padStart(2)}  ${sample.measure.padEnd(14)} ${sample.contender.padEnd(18)} ${figuresText(sample)}`,
      );
    },
    failure: (failure: Failure) => {
      failures.push(failure);
      say(`    ${failure.measure} ${failure.contender}: ${failure.reason}`);
    },
  };
  const work = async (bed: Awaited<ReturnType<typeof createTestbed>>, stack: AsyncDisposableStack) => {
    if (contenders.some(({ kind }) => kind === "ours")) {
      say("starting the control plane and two nodes");
      await bed.wires.lay("path1", 0);
      fabric = stack.use(await startFabricPair(bed, { mtu: options.mtu }));
      say(`they are up after ${((Date.now() - startedAt.getTime()) / 1000).toFixed(0)} s`);
    }
    await runSession(bed, fabric, { contenders, measures, rounds: options.rounds, once, effort }, log);
  };

  await using stack = new AsyncDisposableStack();
  const bed = stack.use(await createTestbed(binaries.forwarder.delayLine));
  const done = work(bed, stack);
  const stopped = await Promise.race([done.then(() => false), interrupted]);
  if (stopped) done.catch(() => {}); // what it was waiting for is being taken away
  const result = resultOf({
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    quick: options.quick,
    rounds: options.rounds,
    machine: readMachine(),
    versions,
    contenders: contenders.map(({ name, title, kind, version }) => ({ name, title, kind, version })),
    measures: measures.map(({ name, title }) => ({ name, title })),
    samples,
    failures,
  });
  console.log(`\n${formatTable(result)}\n`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  return stopped ? 130 : failures.length > 0 ? 1 : 0;
}

function figuresText({ figures }: Sample): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join("  ");
}
