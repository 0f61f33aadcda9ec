/** A typed client for the objects of one namespace, and a few of none. Every call is bounded in time and fails with a KubeError. */
import type { KubeConfig } from "@kubernetes/client-node";
import { observedTransport, type ApiCall } from "./observed-transport.ts";
import { createTransport, readBody, type Transport, type TransportRequest } from "./transport.ts";
import { pathOf, type KubeList, type KubeObject, type OwnerReference, type Resource } from "./resource.ts";
import { readWatch, type WatchEvent } from "./watch-stream.ts";

export const FIELD_MANAGER = "fabric-operator";
/** Long enough for a busy API server, short enough that a hung one is noticed while it matters. */
const REQUEST_TIMEOUT_MS = 10_000;

export type Subresource = "status";

/** What apply needs: the object's address and the fields we claim. */
export type Applied<T extends KubeObject> = {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion?: string;
    readonly finalizers?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
  };
} & Partial<Omit<T, "apiVersion" | "kind" | "metadata">>;

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface WatchOptions {
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

export interface KubeClient {
  readonly namespace: string;
  /** In another namespace than its own when the options name one. */
  get<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    options?: CallOptions & { readonly namespace?: string },
  ): Promise<T>;
  list<T extends KubeObject>(
    resource: Resource<T>,
    options?: CallOptions & { continue?: string },
  ): Promise<KubeList<T>>;
  create<T extends KubeObject>(resource: Resource<T>, object: object, options?: CallOptions): Promise<T>;
  replace<T extends KubeObject>(resource: Resource<T>, object: KubeObject, options?: CallOptions): Promise<T>;
  /** Server-side apply as `fabric-operator`, taking over what conflicts. With a resourceVersion it is a precondition. */
  apply<T extends KubeObject>(
    resource: Resource<T>,
    object: Applied<T>,
    subresource?: Subresource,
  ): Promise<T>;
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    patch: object,
    subresource?: Subresource,
  ): Promise<T>;
  /** The published schema of an API group, e.g. `apis/fabric.saf.dev/v1alpha1`. */
  openApi(group: string): Promise<unknown>;
  watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** The same client, whose calls all end when the signal aborts. */
  until(signal: AbortSignal): KubeClient;
  close(): void;
}

/** `tell` hears of each call when it has ended. */
export function createKubeClient(
  config: KubeConfig,
  namespace: string,
  tell: (call: ApiCall) => void,
): KubeClient {
  return clientOver(observedTransport(createTransport(config), tell), namespace);
}

/** 500 objects a page keeps each answer well under the transport's bound. */
const PAGE_SIZE = 500;

export function clientOver(transport: Transport, namespace: string, end?: AbortSignal): KubeClient {
  const call = async <T>(request: TransportRequest, options: CallOptions = {}): Promise<T> => {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? REQUEST_TIMEOUT_MS);
    const signal = AbortSignal.any([
      timeout,
      ...[options.signal, end].filter((other) => other !== undefined),
    ]);
    return JSON.parse(await readBody(await transport.open({ ...request, signal }))) as T;
  };
  const json = (
    body: object,
    contentType = "application/json",
  ): Pick<TransportRequest, "body" | "contentType"> => ({
    body: JSON.stringify(body),
    contentType,
  });
  return {
    namespace,
    get: (resource, name, options) =>
      call({ method: "GET", target: pathOf(resource, options?.namespace ?? namespace, name) }, options),
    list: (resource, options) => {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
      if (options?.continue) query.set("continue", options.continue);
      return call({ method: "GET", target: `${pathOf(resource, namespace)}?${query.toString()}` }, options);
    },
    create: (resource, object, options) =>
      call(
        {
          method: "POST",
          target: `${pathOf(resource, namespace)}?fieldManager=${FIELD_MANAGER}`,
          ...json(object),
        },
        options,
      ),
    replace: (resource, object, options) =>
      call(
        {
          method: "PUT",
          target: `${pathOf(resource, namespace, object.metadata.name)}?fieldManager=${FIELD_MANAGER}`,
          ...json(object),
        },
        options,
      ),
    apply: (resource, object, subresource) => {
      const body = { apiVersion: resource.apiVersion, kind: resource.kind, ...object };
      const path = pathOf(resource, namespace, object.metadata.name, subresource);
      const target = `${path}?fieldManager=${FIELD_MANAGER}&force=true`;
      return call({ method: "PATCH", target, ...json(body, "application/apply-patch+yaml") });
    },
    mergePatch: (resource, name, patch, subresource) => {
      const target = `${pathOf(resource, namespace, name, subresource)}?fieldManager=${FIELD_MANAGER}`;
      return call({ method: "PATCH", target, ...json(patch, "application/merge-patch+json") });
    },
    openApi: (group) => call({ method: "GET", target: `/openapi/v3/${group}` }),
    watch: (resource, options) => readWatch(transport, pathOf(resource, namespace), options),
    until: (signal) => clientOver(transport, namespace, signal),
    close: () => transport.close(),
  };
}
