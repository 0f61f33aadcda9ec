/** The operator's configuration: one JSON file, read once, into a frozen object. No module reads anything else about its surroundings. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { AddressError, parseEndpoint, type Endpoint } from "@saf/protocol";
import { z } from "zod";
import { ConfigError } from "./errors.ts";
import { LEASE_TIMINGS } from "./kube/elector.ts";

/** A configuration is a few hundred bytes. */
const MAX_CONFIG_BYTES = 64 * 1024;

const path = z.string().min(1).max(4096);
const seconds = z.number().min(0.1).max(300);
const endpoint = z
  .string()
  .max(64)
  .transform((text, context): Endpoint => {
    try {
      return parseEndpoint(text);
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });

const lease = z
  .strictObject({ durationSeconds: seconds, renewDeadlineSeconds: seconds, retrySeconds: seconds })
  .refine(
    ({ durationSeconds, renewDeadlineSeconds, retrySeconds }) =>
      retrySeconds < renewDeadlineSeconds && renewDeadlineSeconds < durationSeconds,
    { message: "retrySeconds < renewDeadlineSeconds < durationSeconds" },
  )
  .transform(({ durationSeconds, renewDeadlineSeconds, retrySeconds }) => ({
    durationMs: durationSeconds * 1000,
    renewDeadlineMs: renewDeadlineSeconds * 1000,
    retryMs: retrySeconds * 1000,
  }));

const schema = z.strictObject({
  /** The fabric cluster's namespace: one operator serves one. */
  namespace: z
    .string()
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  /** Absent: the service account of the pod. */
  kubeconfig: path.optional(),
  /** Home of the embedded PostgreSQL. */
  dataDir: path,
  /** Absent: the embedded PostgreSQL. */
  database: z.strictObject({ url: z.url({ protocol: /^postgres(ql)?$/ }).max(2048) }).optional(),
  enrolment: z.strictObject({
    listen: endpoint,
    /** Addresses and names for the server's certificate, besides those of Cluster.spec.endpoints.enrolment. */
    advertise: z.array(z.string().min(1).max(253)).max(16).default([]),
  }),
  engineSocket: path,
  controlKeyFile: path,
  /** Tells operators apart; two that run at the same time must differ. */
  holder: z
    .string()
    .min(1)
    .max(128)
    .default(() => `${hostname()}-${process.pid}-${Date.now().toString(36)}`),
  lease: lease.default(LEASE_TIMINGS),
  /** Probes and metrics, over plain HTTP; absent: none. */
  telemetry: z.strictObject({ listen: endpoint }).optional(),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

export type Config = Readonly<z.output<typeof schema>>;

/** Throws ConfigError. */
export function loadConfig(args: readonly string[]): Config {
  return parseConfig(readConfig(fileNamedBy(args)));
}

export function parseConfig(text: string): Config {
  if (text.length > MAX_CONFIG_BYTES)
    throw new ConfigError("CONFIG_INVALID", "the configuration is over 64 KiB");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError("CONFIG_INVALID", "the configuration is not JSON", { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return Object.freeze(parsed.data);
  const faults = parsed.error.issues.map(({ path: at, message }) => `${at.join(".") || "it"}: ${message}`);
  throw new ConfigError("CONFIG_INVALID", `the configuration is not usable: ${faults.join("; ")}`);
}

function fileNamedBy(args: readonly string[]): string {
  try {
    const { values } = parseArgs({ args: [...args], options: { config: { type: "string" } } });
    if (values.config) return values.config;
  } catch (cause) {
    throw new ConfigError("USAGE", "usage: fabric-operator --config <file>", { cause });
  }
  throw new ConfigError("USAGE", "usage: fabric-operator --config <file>");
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError("CONFIG_UNREADABLE", `${file} cannot be read`, { cause });
  }
}
