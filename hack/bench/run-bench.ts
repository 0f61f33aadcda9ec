/** One run: builds what takes part, brings up the testbed, measures, takes everything down. */
import { allContenders, buildBinaries } from "./contenders.ts";
import { readDescriptions } from "./contenders/described.ts";
import { startFabricPair, type FabricPair } from "./contenders/fabric.ts";
import { readMachine } from "./machine.ts";
import type { Measure } from "./measure.ts";
import { allMeasures } from "./measures.ts";
import { chosen, type Options } from "./options.ts";
import { resultOf, type Failure, type Result, type Sample } from "./result.ts";
import { runSession, type SessionLog, type SessionPlan } from "./session.ts";
import { createTestbed, type Testbed } from "./testbed.ts";
import { readVersions } from "./versions.ts";

export interface Run {
  readonly result: Result;
  /** False when it was interrupted; the result then holds what was measured until then. */
  readonly finished: boolean;
}

type Say = (text: string) => void;

/** Resolves when everything is gone from the machine again, also when `interrupted` resolves in between. */
export async function runBench(options: Options, interrupted: Promise<unknown>, say: Say): Promise<Run> {
  const startedAt = new Date();
  const binaries = buildBinaries(say);
  const versions = readVersions();
  const stop = new AbortController();
  let fabric: FabricPair | undefined;
  const everyone = allContenders(
    binaries,
    options.contenders.flatMap(readDescriptions),
    versions["tree"] ?? "",
    () => fabric!,
  );
  const plan = planOf(options, chosen(everyone, options.only));
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  const log: SessionLog = {
    sample: (sample) => {
      samples.push(sample);
      say(sampleLine(sample));
    },
    failure: (failure) => {
      if (stop.signal.aborted) return; // it failed because everything is being taken away
      failures.push(failure);
      say(`    ${failure.measure} ${failure.contender}: ${failure.reason}`);
    },
  };

  const measureAll = async (bed: Testbed): Promise<void> => {
    if (plan.contenders.some(({ kind }) => kind === "ours")) {
      say("starting the control plane and two nodes");
      await bed.wires.lay("path1", 0);
      fabric = stack.use(await startFabricPair(bed, { mtu: options.mtu }));
      say("they are up");
    }
    await runSession(bed, fabric, plan, log, stop.signal);
  };

  await using stack = new AsyncDisposableStack();
  const measured = measureAll(stack.use(await createTestbed(binaries.forwarder.delayLine))).then(() => true);
  const finished = await Promise.race([measured, interrupted.then(() => false)]);
  if (!finished) {
    measured.catch(() => {}); // what it was waiting for is being taken away
    stop.abort();
  }
  const result = resultOf({
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    quick: options.quick,
    rounds: options.rounds,
    machine: readMachine(),
    versions,
    contenders: plan.contenders.map(({ name, title, kind, version }) => ({ name, title, kind, version })),
    measures: plan.measures.map(({ name, title }) => ({ name, title })),
    samples,
    failures,
  });
  return { result, finished };
}

function planOf(options: Options, contenders: SessionPlan["contenders"]): SessionPlan {
  const { quick, rounds, measures: words } = options;
  const named = chosen(allMeasures, words, ({ name }, word) => name.startsWith(word));
  return {
    contenders,
    // A slow measure that was asked for by name is made.
    measures: named.filter(({ slow }) => !quick || !slow || words.length > 0),
    rounds,
    once: ({ ground }: Measure, { kind }) => quick && (ground !== "near" || kind === "ceiling"),
    effort: { seconds: options.seconds ?? (quick ? 3 : 6), pings: quick ? 300 : 1000 },
  };
}

function sampleLine({ round, measure, contender, figures }: Sample): string {
  const values = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  return `${String(round).padStart(2)}  ${measure.padEnd(14)} ${contender.padEnd(18)} ${values.join("  ")}`;
}
