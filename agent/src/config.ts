/** The agent's configuration: one JSON file, parsed once, frozen. Nothing else reads the environment. */
import fs from "node:fs/promises";
import {
  AddressError,
  IdentityError,
  MAX_CANDIDATES,
  MAX_ENDPOINT_LENGTH,
  NODE_NAME_PATTERN,
  nodeNameOf,
  parseEndpoint,
} from "@saf/protocol";
import { z } from "zod";
import { parseServerAddress } from "./enrolment/server-address.ts";
import { AgentError } from "./errors.ts";

/** A configuration is a few hundred bytes. */
const MAX_CONFIG_BYTES = 64 * 1024;
/** sockaddr_un holds 108 bytes, the last of them zero. */
const MAX_SOCKET_PATH = 107;

const file = z.string().min(1).max(4096).startsWith("/", "an absolute path");
const socket = file.max(MAX_SOCKET_PATH);
const endpoint = z.string().max(MAX_ENDPOINT_LENGTH).refine(isEndpoint, "<ip>:<port>");

export const configSchema = z.strictObject({
  /** The flag `--node-name` outranks it. */
  nodeName: z.string().regex(NODE_NAME_PATTERN),
  /** Everything the node remembers. One folder is one membership in one fabric cluster. */
  stateDir: file,
  engineSocket: socket,
  apiSocket: socket,
  /** Join by itself; without it, `fabric join` does. */
  join: z
    .strictObject({
      server: z.string().refine(isServer, "https://<host>:<port>"),
      /** Deleted once the node is a member. */
      tokenFile: file.optional(),
      /** Instead of a join token: the pod's projected token, and the pin that a join token would carry. Read anew for each attempt. */
      serviceAccountTokenFile: file.optional(),
      pinFile: file.optional(),
      requestedRoles: z.array(z.string().min(1).max(32)).max(16).default([]),
    })
    .refine(
      ({ tokenFile, serviceAccountTokenFile, pinFile }) =>
        (tokenFile === undefined) !== (serviceAccountTokenFile === undefined) &&
        (serviceAccountTokenFile === undefined) === (pinFile === undefined),
      "either tokenFile, or serviceAccountTokenFile with pinFile",
    )
    .optional(),
  /** UDP port of the engine, as peers see it. */
  listenPort: z.int().min(1).max(65535).default(7443),
  /** Failure domain, for people to see in the status; what counts is the token's. */
  area: z.string().max(63).optional(),
  /** Endpoints that no interface shows: a forwarded port, a public address. */
  advertise: z.array(endpoint).max(MAX_CANDIDATES).default([]),
  /** Interfaces whose addresses are of no use to peers. The tunnel's own is left out anyway. */
  candidateInterfacesExclude: z.array(z.string().max(15)).max(64).default([]),
  /** The name server, and how the programs of this host come to ask it (docs/names.md). */
  names: z
    .strictObject({
      /**
       * `auto`: systemd-resolved, where it runs. `resolv.conf`: permission to write `resolvConf`. `serve`: only answer. `off`: not even
       * that.
       */
      mode: z.enum(["auto", "resolv.conf", "serve", "off"]).default("auto"),
      listen: endpoint.default("127.0.0.74:53"),
      resolvConf: file.default("/etc/resolv.conf"),
    })
    .default({ mode: "auto", listen: "127.0.0.74:53", resolvConf: "/etc/resolv.conf" }),
  /** Probes and metrics, over plain HTTP; absent: none. */
  telemetry: z.strictObject({ listen: endpoint }).optional(),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});
export type AgentConfig = z.infer<typeof configSchema>;

/**
 * Throws AgentError CONFIG_INVALID with every fault in one message.
 * @param kubernetesNode Name of the Kubernetes Node that the agent's pod runs on: one file then does for every node.
 */
export function parseConfig(text: string, kubernetesNode?: string): Readonly<AgentConfig> {
  const json = parseJson(text);
  const parsed = configSchema.safeParse(
    kubernetesNode === undefined || !isObject(json) ? json : { ...json, nodeName: nameFrom(kubernetesNode) },
  );
  if (!parsed.success) throw new AgentError("CONFIG_INVALID", z.prettifyError(parsed.error));
  return Object.freeze(parsed.data);
}

/** Throws AgentError CONFIG_INVALID. */
export async function readConfig(path: string, kubernetesNode?: string): Promise<Readonly<AgentConfig>> {
  try {
    const { size } = await fs.stat(path);
    if (size > MAX_CONFIG_BYTES) throw new RangeError(`over ${MAX_CONFIG_BYTES} bytes`);
    return parseConfig(await fs.readFile(path, "utf8"), kubernetesNode);
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    throw new AgentError("CONFIG_INVALID", `cannot read ${path}`, { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AgentError("CONFIG_INVALID", "the configuration is not JSON", { cause });
  }
}

function isObject(json: unknown): json is object {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function nameFrom(kubernetesNode: string): string {
  try {
    return nodeNameOf(kubernetesNode);
  } catch (cause) {
    if (!(cause instanceof IdentityError)) throw cause;
    throw new AgentError("CONFIG_INVALID", `--node-name: ${cause.message}`, { cause });
  }
}

function isServer(text: string): boolean {
  return holds(() => parseServerAddress(text), AgentError);
}

function isEndpoint(text: string): boolean {
  return holds(() => parseEndpoint(text), AddressError);
}

function holds(parse: () => unknown, expected: typeof AgentError | typeof AddressError): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (error instanceof expected) return false;
    throw error;
  }
}
