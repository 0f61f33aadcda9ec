/** `fabric netcheck`, `fabric smoke` and `fabric bundle`: composition of what looks, what asks and what packs. */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { DiagnosticsView } from "@saf/agent";
import { asCliError } from "../errors.ts";
import { hostParts, jsonPart, writeBundle, type BundleParts, type BundleReport } from "./bundle.ts";
import type { Finding } from "./findings.ts";
import type { LocalApi } from "./local-api.ts";
import { netcheck, type NetcheckReport } from "./netcheck.ts";
import { reach } from "./reach.ts";
import { askHost, askServer } from "./resolve.ts";
import { smoke } from "./smoke.ts";

export async function checkNetwork(api: LocalApi): Promise<NetcheckReport> {
  return netcheckOf(await api.diagnostics());
}

export async function smokeTest(
  api: LocalApi,
  options: { readonly only: readonly string[]; readonly nowSeconds: number },
): Promise<readonly Finding[]> {
  return smoke(await api.diagnostics(), { reach, askServer, askHost }, options);
}

function netcheckOf(view: DiagnosticsView): Promise<NetcheckReport> {
  return netcheck(view, { interfaces: networkInterfaces, mtuOf, askServer, askHost });
}

function mtuOf(interfaceName: string): number | null {
  try {
    return Number(readFileSync(`/sys/class/net/${interfaceName}/mtu`, "utf8"));
  } catch {
    return null;
  }
}

export interface BundleOrder {
  /** Undefined: `fabric-bundle-<node>-<time>.tar.gz` in the working directory. */
  readonly file?: string | undefined;
  readonly nowSeconds: number;
  /** What the cluster says; undefined: it is not asked. */
  readonly clusterParts?: (() => Promise<BundleParts>) | undefined;
}

/** An agent that does not answer is no reason to pack nothing: what it said instead is in the bundle. */
export async function packBundle(api: LocalApi, order: BundleOrder): Promise<BundleReport> {
  const parts = new Map<string, string>(await hostParts());
  const view = await attempt(parts, "agent", () => api.diagnostics());
  if (view) {
    const { status, peers, engine, config, facts, health, log } = view;
    const rest = { status, peers: peers.peers, engine, config, facts, health };
    for (const [name, value] of Object.entries(rest)) parts.set(`agent/${name}.json`, jsonPart(value));
    parts.set("agent/agent.log", `${log.join("\n")}\n`);
    const network = await attempt(parts, "netcheck", () => netcheckOf(view));
    if (network) parts.set("agent/netcheck.json", jsonPart(network));
  }
  if (order.clusterParts) {
    const cluster = await attempt(parts, "cluster", order.clusterParts);
    for (const [name, text] of cluster ?? []) parts.set(`cluster/${name}`, text);
  }
  parts.set(
    "versions.json",
    jsonPart({
      agent: view?.status.agentVersion ?? null,
      engine: view?.status.engine.version ?? null,
      node: process.versions.node,
      packedAt: new Date(order.nowSeconds * 1000).toISOString(),
    }),
  );
  return writeBundle(order.file ?? fileName(view, order.nowSeconds), parts, order.nowSeconds);
}

async function attempt<T>(
  parts: Map<string, string>,
  what: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = asCliError(error);
    parts.set(`${what}-failed.txt`, `${code}: ${message}\n`);
    return undefined;
  }
}

function fileName(view: DiagnosticsView | undefined, nowSeconds: number): string {
  const time = new Date(nowSeconds * 1000).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return `fabric-bundle-${view?.status.nodeName ?? "host"}-${time}.tar.gz`;
}
