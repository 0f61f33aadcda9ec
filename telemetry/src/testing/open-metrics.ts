/**
 * A strict reader of OpenMetrics text 1.0, for tests: it throws at anything that the specification forbids and this program could get
 * wrong. https://prometheus.io/docs/specs/om/open_metrics_spec/
 */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total", "_created"],
  gauge: [""],
  info: ["_info"],
  histogram: ["_bucket", "_sum", "_count", "_created"],
};
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"{}]|"(?:[^"\\\n]|\\["\\n])*")*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const NUMBER = /^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|nan)$/i;

/** By family name. */
export function readOpenMetrics(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("# EOF\n")) throw new Error("it does not end with # EOF");
  const families = new Map<string, Family & { samples: Sample[] }>();
  let current: (Family & { samples: Sample[] }) | undefined;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const meta = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (meta) {
      const [, kind, name = "", rest = ""] = meta;
      if (!NAME.test(name)) throw new Error(`${line}: not a name`);
      if (current?.name !== name) {
        if (families.has(name)) throw new Error(`${name}: told twice`);
        current = { name, type: "unknown", help: "", samples: [] };
        families.set(name, current);
      }
      if (current.samples.length > 0) throw new Error(`${line}: after its samples`);
      if (kind === "HELP" && /(?<!\\)"/.test(rest)) throw new Error(`${line}: a quote that is not escaped`);
      Object.assign(current, kind === "HELP" ? { help: rest } : { type: rest });
      continue;
    }
    const sample = readSample(line);
    if (!current) throw new Error(`${line}: a sample of nothing`);
    const suffix = sample.name.slice(current.name.length);
    if (!sample.name.startsWith(current.name) || !SUFFIXES[current.type]?.includes(suffix))
      throw new Error(`${line}: not of ${current.type} ${current.name}`);
    current.samples.push(sample);
  }
  for (const family of families.values()) checkFamily(family, families);
  return families;
}

function readSample(line: string): Sample {
  const [, name = "", labelText = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (!NUMBER.test(value)) throw new Error(`${JSON.stringify(line)}: not a sample`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labelText.length) {
    const match = LABEL.exec(labelText);
    if (!match) throw new Error(`${line}: not labels`);
    const [, label = "", text = "", end] = match;
    if (label in labels) throw new Error(`${line}: ${label} twice`);
    if (end === "," && LABEL.lastIndex === labelText.length) throw new Error(`${line}: a comma at the end`);
    labels[label] = text;
  }
  const number = /inf/i.test(value) ? (value.startsWith("-") ? -Infinity : Infinity) : Number(value);
  return { name, labels, value: number };
}

function checkFamily({ name, type, help, samples }: Family, all: ReadonlyMap<string, Family>): void {
  if (!(type in SUFFIXES)) throw new Error(`${name}: type ${type}`);
  if (help === "") throw new Error(`${name}: no help`);
  for (const suffix of SUFFIXES[type] ?? [])
    if (suffix !== "" && all.has(name + suffix)) throw new Error(`${name}${suffix} clashes with ${name}`);
  const keys = samples.map(({ name: of, labels }) => of + keyOf(labels));
  if (new Set(keys).size !== keys.length) throw new Error(`${name}: the same series twice`);
  for (const { name: of, value } of samples)
    if (type === "counter" && of.endsWith("_total") && !(value >= 0 && Number.isFinite(value)))
      throw new Error(`${of}: ${value}`);
  if (type === "histogram") checkHistogram(name, samples);
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = keyOf(sample.labels, "le");
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, members] of series) {
    const buckets = members.filter(({ name: of }) => of === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => (labels["le"] === "+Inf" ? Infinity : Number(labels["le"])));
    const counts = buckets.map(({ value }) => value);
    const count = members.find(({ name: of }) => of === `${name}_count`)?.value;
    if (bounds.some((bound, index) => !(bound > (bounds[index - 1] ?? -Infinity))))
      throw new Error(`${name}${key}: buckets are not in order`);
    if (counts.some((value, index) => value < (counts[index - 1] ?? 0)))
      throw new Error(`${name}${key}: buckets are not cumulative`);
    if (bounds.at(-1) !== Infinity || counts.at(-1) !== count)
      throw new Error(`${name}${key}: the last bucket is not all`);
    if (!members.some(({ name: of }) => of === `${name}_sum`)) throw new Error(`${name}${key}: no sum`);
  }
}

function keyOf(labels: Sample["labels"], except?: string): string {
  const entries = Object.entries(labels).filter(([name]) => name !== except);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
