/**
 * charts/secure-access-fabric/values.schema.json. Helm checks values against it and names the field that is wrong; every object is
 * closed, so that a typo is refused. `cluster.spec` is the Cluster's own schema: the same source as its CustomResourceDefinition.
 */
import { clusterKind } from "@saf/crds";

export type Schema = Readonly<Record<string, unknown>>;

const string: Schema = { type: "string" };
const boolean: Schema = { type: "boolean" };
const strings = (item: Schema = string): Schema => ({ type: "array", items: item });
const oneOf = (...values: string[]): Schema => ({ type: "string", enum: values });
/** Above 1023: the containers have no right to lower ones. */
const freePort: Schema = { type: "integer", minimum: 1024, maximum: 65_535 };
const nodePort: Schema = { type: ["integer", "null"], minimum: 1, maximum: 65_535 };
const closed = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: "object",
  additionalProperties: false,
  properties,
});
const texts: Schema = { type: "object", additionalProperties: string };
/** Checked by the API server, which knows these types. */
const kubernetesObject: Schema = { type: "object" };
const kubernetesList: Schema = { type: "array", items: kubernetesObject };
const duration: Schema = { type: "string", pattern: "^([0-9]+(ms|s|m|h))+$" };
/** A folder of the node, below another one: an uninstall that cleans nodes mounts what is above it, which must not be all of the host. */
const hostFolder: Schema = { type: "string", pattern: "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){2,}$" };
const dnsLabel: Schema = { type: "string", pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" };
const logLevel = oneOf("debug", "info", "warn", "error");
const endpointMonitor = closed({ enabled: boolean, interval: duration, labels: texts });

const placement = {
  nodeSelector: texts,
  tolerations: kubernetesList,
  affinity: kubernetesObject,
  podLabels: texts,
  podAnnotations: texts,
};

const operator = closed({
  ...placement,
  enabled: boolean,
  replicas: { type: "integer", minimum: 0, maximum: 5 },
  logLevel,
  advertise: { ...strings({ type: "string", minLength: 1, maxLength: 253 }), maxItems: 12 },
  service: closed({
    type: oneOf("ClusterIP", "NodePort", "LoadBalancer"),
    clusterIP: string,
    enrolmentNodePort: nodePort,
    controlNodePort: nodePort,
    loadBalancerClass: string,
    externalTrafficPolicy: oneOf("", "Cluster", "Local"),
    annotations: texts,
  }),
  serviceAccount: closed({ annotations: texts }),
  podDisruptionBudget: closed({ enabled: boolean }),
  resources: kubernetesObject,
  engineResources: kubernetesObject,
  topologySpreadConstraints: kubernetesList,
  priorityClassName: string,
});

const agent = closed({
  ...placement,
  enabled: boolean,
  logLevel,
  server: { type: "string", pattern: "^(|https://[^/\\s]+)$" },
  trust: closed({ pin: { type: "string", pattern: "^([A-Za-z0-9_-]{43})?$" }, ca: string }),
  audience: { type: "string", minLength: 1, maxLength: 253 },
  requestedRoles: { ...strings(), maxItems: 16 },
  area: { type: "string", maxLength: 63 },
  port: freePort,
  listenAddresses: { ...strings(), minItems: 1, maxItems: 4 },
  telemetryPort: freePort,
  stateDir: hostFolder,
  advertise: { ...strings(), maxItems: 16 },
  candidateInterfacesExclude: { ...strings({ type: "string", maxLength: 15 }), maxItems: 64 },
  names: closed({ mode: oneOf("auto", "serve", "off"), listen: string }),
  tunnel: closed({
    interface: { type: "string", pattern: "^[A-Za-z0-9_.-]{1,15}$" },
    prefixes: { ...strings(), minItems: 1, maxItems: 64 },
    maxMtu: { type: "integer", minimum: 1280, maximum: 9000 },
  }),
  engine: closed({ privileged: boolean, realTime: boolean, resources: kubernetesObject }),
  resources: kubernetesObject,
  updateStrategy: oneOf("OnDelete", "RollingUpdate"),
  priorityClassName: { type: "string", minLength: 1 },
});

export function chartValuesSchema(): string {
  const schema = { $schema: "https://json-schema.org/draft/2020-12/schema", ...chartValues(clusterSpec()) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** The values as a schema, with `cluster.spec` as given. */
export function chartValues(spec: Schema): Schema {
  return closed({
    image: closed({
      registry: { type: "string", minLength: 1 },
      tag: string,
      pullPolicy: oneOf("Always", "IfNotPresent", "Never"),
      pullSecrets: strings(),
    }),
    crds: closed({ install: boolean }),
    cluster: closed({
      create: boolean,
      name: dnsLabel,
      // Nothing yet, or all that a Cluster needs.
      spec: { type: "object", anyOf: [{ maxProperties: 0 }, spec] },
    }),
    database: closed({
      urlSecret: closed({ name: string, key: { type: "string", minLength: 1 } }),
      embedded: closed({
        size: { type: "string", pattern: "^[0-9]+([KMGT]i?)?$" },
        storageClass: string,
        existingClaim: string,
      }),
    }),
    operator,
    agent,
    networkPolicy: closed({ enabled: boolean, nodesFrom: kubernetesList, metricsFrom: kubernetesList }),
    monitoring: closed({
      serviceMonitor: endpointMonitor,
      podMonitor: endpointMonitor,
      prometheusRule: closed({ enabled: boolean, labels: texts }),
      dashboards: closed({ enabled: boolean, labels: texts, annotations: texts }),
    }),
    tests: closed({ enabled: boolean }),
    uninstall: closed({ takeLeave: boolean, cleanNodes: boolean }),
    // What Helm adds when the chart is another one's dependency.
    global: kubernetesObject,
  });
}

function clusterSpec(): Schema {
  const [version] = clusterKind.crd().spec.versions;
  const spec = version?.schema.openAPIV3Schema.properties?.["spec"];
  if (!spec) throw new Error("the Cluster's CustomResourceDefinition has no spec");
  return closedSchema(spec as Schema);
}

/** The structural schema as JSON Schema: closed, and without what only the API server understands. */
function closedSchema(node: Schema): Schema {
  const entries = Object.entries(node).flatMap(([key, value]): [string, unknown][] => {
    if (key.startsWith("x-kubernetes-") || key === "format" || key === "default") return [];
    if (key === "properties") {
      const children = Object.entries(value as Record<string, Schema>);
      return [[key, Object.fromEntries(children.map(([name, child]) => [name, closedSchema(child)]))]];
    }
    if (key === "items" || key === "additionalProperties") return [[key, closedSchema(value as Schema)]];
    return [[key, value]];
  });
  const closing = "properties" in node ? [["additionalProperties", false] as const] : [];
  return Object.fromEntries([...entries, ...closing]);
}
