/** Reads OpenMetrics of a pod or a node, from a host of the lab that reaches it. */
import type { Host } from "../../host.ts";

export interface Sample {
  readonly name: string;
  /** As printed: `verb="get",code="OK"`. */
  readonly labels: string;
  readonly value: number;
}

export async function readMetrics(from: Host, address: string): Promise<Sample[]> {
  const program = `process.stdout.write(await (await fetch("http://${address}/metrics")).text())`;
  const { stdout } = await from.exec([process.execPath, "--input-type=module", "--eval", program]);
  return parseSamples(stdout);
}

export function parseSamples(text: string): Sample[] {
  return [...text.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)(?: \S+)?$/gm)].map(([, name, labels, value]) => ({
    name: name!,
    labels: labels ?? "",
    value: Number(value),
  }));
}

/** Of those with that name, and labels that fit. */
export function sumOf(samples: readonly Sample[], name: string, labels = /(?:)/): number {
  return samples
    .filter((sample) => sample.name === name && labels.test(sample.labels))
    .reduce((sum, { value }) => sum + value, 0);
}
