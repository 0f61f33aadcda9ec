/**
 * fabric-agent: `node agent/src/main.ts --config <file.json> [--node-name <Kubernetes Node>]`. Composition only.
 *
 * Runs as an ordinary user without capabilities. SIGTERM and SIGINT end the agent alone: the engine keeps what it was told
 * until that expires, so that an upgrade drops no packet. The tunnel goes with the engine: when it is stopped, when the snapshot
 * runs out, when the node is revoked. Exit codes: 0 asked to stop, 1 failed, 2 bad configuration.
 */
import { parseArgs } from "node:util";
import { connectEngine } from "@saf/engine";
import { parseEndpoint } from "@saf/protocol";
import { serveTelemetry } from "@saf/telemetry";
import { readInterfaces } from "./candidates/candidates.ts";
import { readConfig } from "./config.ts";
import { AgentError, codeOf, messageOf } from "./errors.ts";
import { createNodeAgent } from "./lifecycle/node-agent.ts";
import { givenSockets } from "./names/given-sockets.ts";
import { startLocalApi } from "./local-api/local-api.ts";
import { systemClock } from "./schedule/clock.ts";
import { createLog } from "./telemetry/log.ts";
import { createRecentLines } from "./telemetry/recent-lines.ts";
import { AGENT_VERSION } from "./version.ts";

const USAGE = "usage: fabric-agent --config <file.json> [--node-name <name of the Kubernetes Node>]";

async function main(): Promise<void> {
  const { config: file, "node-name": kubernetesNode } = readArguments();
  if (!file) throw new AgentError("CONFIG_INVALID", USAGE);
  const config = await readConfig(file, kubernetesNode);
  const recent = createRecentLines();
  const log = createLog(config.logLevel, config.nodeName, recent.add);
  const asked = signalled();
  const agent = createNodeAgent({
    config,
    log,
    clock: systemClock,
    random: Math.random,
    connectEngine: (signal) => connectEngine(config.engineSocket, { signal }),
    readInterfaces,
    descriptors: givenSockets(process.env, process.pid),
    recentLog: recent.list,
  });
  const api = await startLocalApi(config.apiSocket, agent); // first: one agent per socket, so one per state folder
  const telemetry =
    config.telemetry &&
    serveTelemetry({
      listen: parseEndpoint(config.telemetry.listen),
      live: agent.live,
      ready: agent.ready,
      metrics: agent.metrics,
      onError: (error) => log.warn({ err: error }, "telemetry failed; trying on"),
    });
  await agent.start();
  log.info({ version: AGENT_VERSION, pid: process.pid }, "agent started");
  log.info({ signal: await asked }, "agent stopping; the engine goes on");
  await telemetry?.close();
  await api.close();
  await agent.stop();
}

function readArguments(): { readonly config?: string; readonly "node-name"?: string } {
  try {
    return parseArgs({ options: { config: { type: "string" }, "node-name": { type: "string" } } }).values;
  } catch (cause) {
    throw new AgentError("CONFIG_INVALID", USAGE, { cause });
  }
}

function signalled(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
  });
}

main().catch((error: unknown) => {
  console.error(JSON.stringify({ level: "fatal", code: codeOf(error), msg: messageOf(error) }));
  process.exitCode = error instanceof AgentError && error.code === "CONFIG_INVALID" ? 2 : 1;
});
