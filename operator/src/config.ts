/** The operator's configuration: one JSON file, read once, into a frozen object. No module reads anything else about its surroundings. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
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

/** A URL of PostgreSQL with every option it knows is a few hundred bytes. */
const MAX_DATABASE_URL_BYTES = 2048;
const databaseUrl = z.url({ protocol: /^postgres(ql)?$/ }).max(MAX_DATABASE_URL_BYTES);

/** Where the database is. Its URL holds a password, so it may stand in a file of its own, such as a mounted Secret. */
const database = z
  .strictObject({ url: databaseUrl.optional(), urlFile: path.optional() })
  .refine(({ url, urlFile }) => (url === undefined) !== (urlFile === undefined), {
    message: "either url or urlFile",
  })
  .transform(({ url, urlFile }, context): { readonly url: string } => {
    if (url !== undefined) return { url };
    try {
      return { url: databaseUrl.parse(readFileSync(urlFile ?? "", "utf8").trim()) };
    } catch (error) {
      // Neither the URL nor what the parser says of it may reach a log: it holds the password.
      const found = error instanceof z.ZodError ? "holds no postgresql:// URL" : "cannot be read";
      context.addIssue({ code: "custom", path: ["urlFile"], message: `${urlFile} ${found}` });
      return z.NEVER;
    }
  });

const dnsLabel = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);

const schema = z.strictObject({
  /** The fabric cluster's namespace: one operator serves one. */
  namespace: dnsLabel,
  /** Absent: the service account of the pod. */
  kubeconfig: path.optional(),
  /** Home of the embedded PostgreSQL. */
  dataDir: path,
  /** Absent: the embedded PostgreSQL. */
  database: database.optional(),
  enrolment: z.strictObject({
    listen: endpoint,
    /** Addresses and names for the server's certificate, besides those of Cluster.spec.endpoints.enrolment. */
    advertise: z.array(z.string().min(1).max(253)).max(16).default([]),
  }),
  /**
   * A Service without a selector that is to lead to whoever rules: of several operators only one answers. Needs the two flags
   * `--address` and `--node`, which say what a file for all of them cannot.
   */
  service: z.strictObject({ name: dnsLabel, controlPort: z.int().min(1).max(65535) }).optional(),
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

/** What differs between operators with the same configuration. */
export interface Place {
  /** Of this pod. */
  readonly address?: string;
  /** The Kubernetes Node that it runs on. */
  readonly node?: string;
}

export type Config = Readonly<z.output<typeof schema>> & { readonly place?: Place };

/** Throws ConfigError. */
export function loadConfig(args: readonly string[]): Config {
  const { config, ...place } = flagsIn(args);
  const loaded = parseConfig(readConfig(config));
  if (loaded.service && !isIP(place.address ?? ""))
    throw new ConfigError("CONFIG_INVALID", "service: needs --address with the address of this pod");
  return Object.freeze({ ...loaded, place });
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

const USAGE = "usage: fabric-operator --config <file> [--address <ip>] [--node <name>]";

function flagsIn(args: readonly string[]): Place & { readonly config: string } {
  try {
    const string = { type: "string" } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { config: string, address: string, node: string },
    });
    if (values.config) return { ...values, config: values.config };
  } catch (cause) {
    throw new ConfigError("USAGE", USAGE, { cause });
  }
  throw new ConfigError("USAGE", USAGE);
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError("CONFIG_UNREADABLE", `${file} cannot be read`, { cause });
  }
}
