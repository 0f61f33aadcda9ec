/**
 * docs/limits.md out of the sources: every constant that bounds something, with the reason that stands above it. A bound is a
 * constant with a number in it whose name says what it limits; one without a reason is an error.
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

interface Limit {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
}

const PARTS: Readonly<Record<string, readonly string[]>> = {
  "Protocol (`protocol/`)": ["protocol/src/**/*.ts"],
  "Operator (`operator/`)": ["operator/src/**/*.ts"],
  "Agent (`agent/`)": ["agent/src/**/*.ts"],
  "Engine (`engine/`)": ["engine/src/**/*.rs"],
  "Engine client (`engine/client/`)": ["engine/client/*.ts"],
  "Telemetry (`telemetry/`)": ["telemetry/src/**/*.ts"],
  "Command line (`cli/`)": ["cli/src/**/*.ts"],
};
const NOT_PRODUCT = /(test|properties|vectors|arbitrary|manual-clock|\/testing\/|\/lab\/|\/e2e\/|generated)/;
const NAME =
  /^(MAX|MIN|LONGEST|ENOUGH|STAGGER|HOUSEKEEPING|QUIET|GOODBYE|KEEP_ALIVE|PATHS)|(_MAX|_LIMIT|TIMEOUT|_MS|_SECONDS|_TIMEOUT|_PER_[A-Z]+|_WINDOW[A-Z_]*|CONCURRENCY|PAGE_SIZE|BACKOFF|RECONNECT|APPLY_RETRY|_STREAMS|_SKEW|_SECONDS|_BYTES|_PACKETS|LIMITS|TIMINGS|_AFTER|SIMULTANEOUS|_PAUSE|_REST)$/;
/** Sizes of a layout are facts, not bounds. */
const LAYOUT =
  /^(HEADER|LENGTH|FIXED|KEY|EXPORTER|BINDING|BLOCK|CHUNK|ANSWER|IPV4_HEADER|IPV6_HEADER|TCP_HEADER|UDP_HEADER|RECORD_HEADER|PREAMBLE|CUT|VNET|FINGERPRINT|MESSAGE_OVERHEAD)_BYTES$|^(MAX_ID|MAX_OLD_BLOCKS)$/;
const CONSTANT =
  /^ *(?:export |pub(?:\([a-z]+\))? )?const ([A-Z][A-Z0-9_]*)(?:: [^=]+)? = ([^;{]*|\{[^{}]*\}|[^;]*\{[^;]*\});/gm;

/** The text of docs/limits.md. Throws when a bound has no reason. */
export function limitsPage(): string {
  const parts = Object.entries(PARTS).map(([title, patterns]) => [title, limitsOf(patterns)] as const);
  return `${[
    "# Limits",
    "Every bound, and why it is what it is. Generated from the sources by `npm run generate`: change it there.",
    ...parts.flatMap(([title, limits]) => [`## ${title}`, table(limits)]),
    "## Kubernetes API",
    "Every field of every kind is bounded in its schema: `kubectl explain`, or [crds/manifests](../crds/manifests).",
  ].join("\n\n")}\n`;
}

function limitsOf(patterns: readonly string[]): Limit[] {
  const files = patterns
    .flatMap((pattern) => globSync(pattern, { cwd: repositoryRoot }))
    .filter((file) => !NOT_PRODUCT.test(file));
  return files.sort().flatMap((file) => limitsIn(file, readFileSync(join(repositoryRoot, file), "utf8")));
}

/** Exported for its test. */
export function limitsIn(file: string, source: string): Limit[] {
  return [...source.matchAll(CONSTANT)].flatMap(([whole, name = "", value = ""]) => {
    if (!NAME.test(name) || LAYOUT.test(name) || !/\d/.test(value)) return [];
    const reason = reasonAbove(source, source.indexOf(whole));
    if (!reason) throw new Error(`${file}: ${name} is a bound without a reason above it`);
    return [{ name: `\`${name}\``, value: `\`${value.replaceAll(/\s+/g, " ").trim()}\``, reason }];
  });
}

/** The comment that ends on the line above the constant. */
function reasonAbove(source: string, at: number): string {
  const above = source.slice(0, at).trimEnd();
  const block = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/$/.exec(above)?.[1];
  const lines = /((?:\n *\/\/[/!]?[^\n]*)+)$/.exec(above)?.[1];
  return (block ?? lines ?? "")
    .replaceAll(/^ *(\*|\/\/[/!]?) ?/gm, "")
    .replaceAll(/\s+/g, " ")
    .replaceAll("|", "\\|")
    .trim();
}

function table(limits: readonly Limit[]): string {
  const rows = limits.map(({ name, value, reason }) => `| ${name} | ${value} | ${reason} |`);
  return ["| bound | value | why |", "| --- | --- | --- |", ...rows].join("\n");
}
