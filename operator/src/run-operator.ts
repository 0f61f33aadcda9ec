/** The operator as a whole: stands for election, and leads whenever it is elected. */
import { KubeConfig } from "@kubernetes/client-node";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { connectOperatorEngine } from "./control/connect-engine.ts";
import { serveTelemetry } from "@saf/telemetry";
import { createKubeClient } from "./kube/client.ts";
import { sleep, systemClock } from "./kube/clock.ts";
import { createElector } from "./kube/elector.ts";
import { createEventRecorder } from "./kube/event-recorder.ts";
import { lead } from "./ruling/lead.ts";
import { createLedgerHolder } from "./ruling/ledger-holder.ts";
import type { ServiceLead } from "./ruling/service-lead.ts";
import { createOperatorTelemetry } from "./telemetry/operator-telemetry.ts";

const LEASE_NAME = "fabric-operator";
/** For the last Events to reach an API server that may be away. */
const LAST_EVENTS_MS = 1_000;

/** Resolves when the signal has aborted and everything has ended. */
export async function runOperator(config: Config, log: Logger, signal: AbortSignal): Promise<void> {
  const clock = systemClock;
  const random = Math.random;
  const telemetry = createOperatorTelemetry(config.lease);
  const { duty, metrics } = telemetry;
  const client = createKubeClient(loadKubeConfig(config), config.namespace, metrics.apiCall);
  const ledgers = createLedgerHolder({
    database: config.database ?? { dataDir: config.dataDir },
    clock: () => Math.floor(clock.nowMs() / 1000),
    log,
    telemetry,
  });
  const elector = createElector({
    client,
    leaseName: LEASE_NAME,
    identity: config.holder,
    timings: config.lease,
    clock,
    random,
    log,
    onLook: duty.looked,
  });
  const { holder, controlKeyFile, enrolment } = config;
  const events = createEventRecorder({ client, instance: holder, clock, log, tell: metrics.event });
  const connectEngine = connectOperatorEngine(config.engineSocket);
  const init = {
    client,
    clock,
    random,
    log,
    telemetry,
    events,
    ledgers,
    holder,
    controlKeyFile,
    enrolment,
    connectEngine,
    serviceLead: serviceLeadOf(config),
  };
  const server =
    config.telemetry &&
    serveTelemetry({
      listen: config.telemetry.listen,
      live: duty.live,
      ready: duty.ready,
      metrics: metrics.collect,
      onError: (error) => log.error({ error }, "telemetry failed; trying on"),
    });
  try {
    await elector.run(signal, (leading) => lead(init, leading));
  } finally {
    await Promise.race([events.flush(), sleep(clock, LAST_EVENTS_MS)]);
    await ledgers.close();
    client.close();
    await server?.close();
  }
}

function serviceLeadOf({ service, place, enrolment }: Config): ServiceLead | undefined {
  if (!service || !place?.address) return undefined;
  return {
    service: service.name,
    address: place.address,
    node: place.node,
    enrolmentPort: enrolment.listen.port,
    controlPort: service.controlPort,
  };
}

function loadKubeConfig({ kubeconfig }: Config): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromCluster();
  else config.loadFromFile(kubeconfig);
  return config;
}
