/**
 * The fabric's objects of one namespace, over the API server that a kubeconfig names. Every call is bounded in time and
 * fails with a CliError whose code and exit code say what went wrong.
 */
import {
  AuthenticationV1Api,
  type ConfigurationOptions,
  createConfiguration,
  CustomObjectsApi,
  KubeConfig,
  PatchStrategy,
  ServerConfiguration,
  setHeaderOptions,
} from "@kubernetes/client-node";
import { API_VERSION, GROUP, type KindDefinition, type KubernetesObject, VERSION } from "@saf/crds";
import { CliError, EXIT } from "../errors.ts";
import { asApiError } from "./api-error.ts";

export interface ClusterOptions {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  namespace?: string | undefined;
}

export interface ClusterClient {
  readonly namespace: string;
  get<K extends string, S, T>(
    kind: KindDefinition<K, S, T>,
    name: string,
  ): Promise<KubernetesObject<K, S, T>>;
  list<K extends string, S, T>(kind: KindDefinition<K, S, T>): Promise<KubernetesObject<K, S, T>[]>;
  create(kind: KindDefinition, name: string, spec: object): Promise<void>;
  /** JSON merge patch of the spec. */
  patchSpec(kind: KindDefinition, name: string, spec: object): Promise<void>;
  /** Server-side apply of the named spec fields, owned by `fieldManager`. `uid` keeps it from making a new object. */
  applySpec(
    kind: KindDefinition,
    target: { name: string; uid: string },
    spec: object,
    fieldManager: string,
  ): Promise<void>;
  /** The user name under which the API server knows the caller. */
  userName(): Promise<string>;
}

/** A healthy API server answers these calls in milliseconds; this is patience with a busy one. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Objects of one page, as kubectl asks for. */
const PAGE_SIZE = 500;
/** What the client library falls back to when it finds neither a kubeconfig nor a pod's service account. */
const SERVER_OF_NO_KUBECONFIG = "http://localhost:8080";
const FIELD_MANAGER = "fabric-cli";

export function connectCluster(options: ClusterOptions): ClusterClient {
  const config = loadKubeConfig(options);
  const configuration = boundedConfiguration(config);
  const objects = new CustomObjectsApi(configuration);
  const authentication = new AuthenticationV1Api(configuration);
  const contextNamespace = config.getContextObject(config.getCurrentContext())?.namespace;
  const namespace = options.namespace ?? contextNamespace ?? "default";
  const place = (kind: KindDefinition) => ({
    group: GROUP,
    version: VERSION,
    namespace,
    plural: kind.plural,
  });
  const call = async <T>(what: string, request: () => Promise<unknown>): Promise<T> => {
    try {
      return (await request()) as T;
    } catch (error) {
      throw asApiError(error, { what, namespace });
    }
  };

  return {
    namespace,
    get: (kind, name) =>
      call(`${kind.singular} "${name}"`, () => objects.getNamespacedCustomObject({ ...place(kind), name })),

    async list<K extends string, S, T>(kind: KindDefinition<K, S, T>) {
      const items: KubernetesObject<K, S, T>[] = [];
      let next: string | undefined;
      do {
        const page = await call<ObjectList<KubernetesObject<K, S, T>>>(kind.plural, () =>
          objects.listNamespacedCustomObject({
            ...place(kind),
            limit: PAGE_SIZE,
            ...(next === undefined ? {} : { _continue: next }),
          }),
        );
        items.push(...page.items);
        next = page.metadata.continue || undefined;
      } while (next !== undefined);
      return items;
    },

    async create(kind, name, spec) {
      const body = { apiVersion: API_VERSION, kind: kind.kind, metadata: { name, namespace }, spec };
      await call(`${kind.singular} "${name}"`, () =>
        objects.createNamespacedCustomObject({ ...place(kind), body, fieldManager: FIELD_MANAGER }),
      );
    },

    async patchSpec(kind, name, spec) {
      const request = { ...place(kind), name, body: { spec }, fieldManager: FIELD_MANAGER };
      await call(`${kind.singular} "${name}"`, () =>
        objects.patchNamespacedCustomObject(request, contentType(PatchStrategy.MergePatch)),
      );
    },

    async applySpec(kind, { name, uid }, spec, fieldManager) {
      const body = { apiVersion: API_VERSION, kind: kind.kind, metadata: { name, namespace, uid }, spec };
      await call(`${kind.singular} "${name}"`, () =>
        objects.patchNamespacedCustomObject(
          { ...place(kind), name, body, fieldManager, force: true },
          contentType(PatchStrategy.ServerSideApply),
        ),
      );
    },

    async userName() {
      const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
      const review = await call<{ status?: { userInfo?: { username?: string } } }>("your user name", () =>
        authentication.createSelfSubjectReview({ body }),
      );
      const name = review.status?.userInfo?.username;
      if (name) return name;
      throw new CliError("USER_UNKNOWN", "the API server does not say who you are", { exit: EXIT.failure });
    },
  };
}

interface ObjectList<T> {
  items: T[];
  metadata: { continue?: string };
}

function loadKubeConfig(options: ClusterOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
    if (options.context !== undefined) config.setCurrentContext(options.context);
  } catch (error) {
    throw kubeconfigError(error instanceof Error ? error.message : String(error), error);
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw kubeconfigError("the kubeconfig names no cluster for its context");
  if (server === SERVER_OF_NO_KUBECONFIG) throw kubeconfigError("there is no kubeconfig");
  return config;
}

function kubeconfigError(message: string, cause?: unknown): CliError {
  return new CliError("KUBECONFIG_INVALID", message, {
    exit: EXIT.usage,
    hint: "set KUBECONFIG, or pass --kubeconfig and --context",
    cause,
  });
}

function boundedConfiguration(config: KubeConfig): ReturnType<typeof createConfiguration> {
  return createConfiguration({
    baseServer: new ServerConfiguration(config.getCurrentCluster()?.server ?? "", {}),
    authMethods: { default: config },
    promiseMiddleware: [
      {
        async pre(request) {
          request.setSignal(AbortSignal.timeout(REQUEST_TIMEOUT_MS));
          return request;
        },
        post: async (response) => response,
      },
    ],
  });
}

function contentType(strategy: string): ConfigurationOptions {
  return setHeaderOptions("Content-Type", strategy);
}
