/** Keeps the enrolment API open while this operator rules; opens it anew when the Cluster names other hosts for its certificate. */
import type { ClusterSpec } from "@saf/crds";
import type { Endpoint } from "@saf/protocol";
import { startEnrolmentApi, type EnrolmentApi } from "../api/enrolment-api.ts";
import type { Attestor } from "../attestation/attestor.ts";
import type { Scope } from "../controllers/scope.ts";
import type { Logger } from "pino";

export interface EnrolmentServiceInit {
  readonly scope: Scope;
  readonly attestor: Attestor;
  readonly listen: Endpoint;
  /** Hosts besides those of the Cluster. */
  readonly advertise: readonly string[];
  readonly log: Logger;
  readonly onJoin: (requestId: string) => void;
}

export interface EnrolmentService {
  /** Wakes whoever waits for the decision. */
  readonly decided: (requestId: string) => void;
  /** The Cluster changed. */
  changed(): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createEnrolmentService(init: EnrolmentServiceInit): EnrolmentService {
  const { scope, advertise, log } = init;
  const { authority, clock, ledger } = scope;
  const { duty, metrics } = scope.telemetry;
  let api: EnrolmentApi | undefined;
  let reopen: (() => void) | undefined;
  let serving = "";

  const hosts = (): string[] => [...new Set([...hostsOf(scope.cluster().spec), ...advertise])].sort();

  const open = (): Promise<EnrolmentApi> =>
    startEnrolmentApi({
      listen: init.listen,
      hosts: hosts(),
      ledger,
      authority,
      attestor: init.attestor,
      trustDomain: ledger.trustDomain,
      clock: () => Math.floor(clock.nowMs() / 1000),
      log,
      controlEndpoints: () => scope.cluster().spec.endpoints.control,
      onJoin: init.onJoin,
      onAnswer: metrics.enrolment,
      onConnectionRefused: metrics.connectionRefused,
    });

  /** Open until the hosts change or the signal aborts. */
  const serve = async (signal: AbortSignal): Promise<void> => {
    const over = Promise.withResolvers<void>();
    reopen = over.resolve;
    signal.addEventListener("abort", () => over.resolve(), { once: true });
    serving = hosts().join(" ");
    api = await open();
    log.info({ address: api.address, hosts: serving }, "enrolment API open");
    duty.enrolment(true);
    try {
      if (!signal.aborted) await over.promise;
    } finally {
      duty.enrolment(false);
      await api.close();
      api = undefined;
    }
  };

  return {
    decided: (requestId) => api?.decided(requestId),
    changed() {
      if (serving !== "" && serving !== hosts().join(" ")) reopen?.();
    },
    async run(signal) {
      while (!signal.aborted) await serve(signal);
    },
  };
}

/** Host names and addresses of the enrolment URLs; an IPv6 address without its brackets, as certificates have it. */
export function hostsOf({ endpoints }: Pick<ClusterSpec, "endpoints">): string[] {
  return endpoints.enrolment.map((url) => new URL(url).hostname.replace(/^\[(.*)\]$/, "$1"));
}
