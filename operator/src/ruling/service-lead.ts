/**
 * Makes a Service lead to the operator that rules, and to no other: those that stand by answer neither joins nor control
 * sessions. The Service has no selector; its one EndpointSlice, of the same name, says where it leads, and goes with it.
 *
 * A slice keeps its family of addresses for good; so does what Kubernetes gives to the pods of one cluster first.
 *
 * A label on the ruling pod would do too, but the right to patch pods is the right to change what privileged ones run.
 */
import { isIPv6 } from "node:net";
import type { Logger } from "pino";
import type { Applied, KubeClient } from "../kube/client.ts";
import { sleep, type Clock } from "../kube/clock.ts";
import { ENDPOINT_SLICES, SERVICES, type EndpointSlice, type Service } from "../kube/resource.ts";

/** A slice that somebody removed is back after this long; an apply that changes nothing costs the API server no write. */
const REPEAT_MS = 30_000;
/** Until a failed apply is tried again: nodes wait meanwhile. */
const RETRY_MS = 1_000;

export interface ServiceLead {
  readonly service: string;
  readonly address: string;
  readonly node?: string | undefined;
  readonly enrolmentPort: number;
  readonly controlPort: number;
}

export interface ServiceLeadInit {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lead: ServiceLead;
}

/** Resolves when the signal aborts. What is said last stays, until the next ruler says otherwise. */
export async function leadService(
  { client, clock, log, lead }: ServiceLeadInit,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const done = await apply(client, lead).then(
      () => true,
      (error: unknown) => {
        if (!signal.aborted) log.warn({ error, service: lead.service }, "the Service does not lead here yet");
        return false;
      },
    );
    await sleep(clock, done ? REPEAT_MS : RETRY_MS, signal);
  }
}

async function apply(client: KubeClient, lead: ServiceLead): Promise<void> {
  const service = await client.get(SERVICES, lead.service);
  await client.apply(ENDPOINT_SLICES, endpointSliceFor(lead, service));
}

/** Pure. Exported for its test. */
export function endpointSliceFor(
  { service, address, node, enrolmentPort, controlPort }: ServiceLead,
  { metadata }: Service,
): Applied<EndpointSlice> {
  return {
    metadata: {
      name: service,
      labels: {
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "fabric-operator",
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Service", name: service, uid: metadata.uid }],
    },
    addressType: isIPv6(address) ? "IPv6" : "IPv4",
    ports: [
      { name: "enrolment", port: enrolmentPort, protocol: "TCP" },
      { name: "control", port: controlPort, protocol: "UDP" },
    ],
    endpoints: [
      {
        addresses: [address],
        conditions: { ready: true },
        ...(node === undefined ? {} : { nodeName: node }),
      },
    ],
  };
}
