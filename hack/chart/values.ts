/** Values that the tests render the chart with. Together they turn on everything that it has. */
const affinity = {
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 1, preference: { matchExpressions: [{ key: "disk", operator: "Exists" }] } },
    ],
  },
};

export const clusterSpec = {
  trustDomain: "home.example",
  reachability: "Mesh",
  addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  endpoints: { enrolment: ["https://10.96.7.7:8443"], control: ["10.96.7.7:7443"] },
};

export const everything = {
  image: { registry: "registry.example/fabric", tag: "1.2.3", pullPolicy: "Never", pullSecrets: ["pull"] },
  cluster: { create: true, spec: clusterSpec },
  database: { urlSecret: { name: "ledger", key: "url" } },
  operator: {
    replicas: 2,
    logLevel: "debug",
    advertise: ["fabric.example.org"],
    service: {
      type: "LoadBalancer",
      clusterIP: "10.96.7.7",
      enrolmentNodePort: 30443,
      controlNodePort: 30743,
      loadBalancerClass: "example.org/balancer",
      externalTrafficPolicy: "Local",
      annotations: { "example.org/pool": "edge" },
    },
    serviceAccount: { annotations: { "example.org/owner": "net" } },
    podLabels: { team: "net" },
    podAnnotations: { "example.org/note": "1" },
    nodeSelector: { "kubernetes.io/os": "linux" },
    tolerations: [{ key: "dedicated", operator: "Exists" }],
    affinity,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "topology.kubernetes.io/zone",
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: { matchLabels: { "app.kubernetes.io/name": "fabric-operator" } },
      },
    ],
    priorityClassName: "system-cluster-critical",
  },
  agent: {
    logLevel: "debug",
    server: "https://fabric.example.org:8443",
    audience: "fabric-home",
    requestedRoles: ["relay"],
    area: "usa",
    advertise: ["203.0.113.9:7443"],
    names: { mode: "serve", listen: "127.0.0.74:9753" },
    engine: { privileged: true },
    updateStrategy: "RollingUpdate",
    podLabels: { team: "net" },
    podAnnotations: { "example.org/note": "1" },
    nodeSelector: { "kubernetes.io/os": "linux" },
    affinity,
  },
  networkPolicy: { nodesFrom: [{ ipBlock: { cidr: "10.0.0.0/8" } }] },
  monitoring: {
    serviceMonitor: { enabled: true, interval: "15s", labels: { release: "prometheus" } },
    podMonitor: { enabled: true, interval: "15s", labels: { release: "prometheus" } },
    prometheusRule: { enabled: true, labels: { release: "prometheus" } },
    dashboards: { enabled: true, annotations: { folder: "fabric" } },
  },
  uninstall: { takeLeave: true, cleanNodes: true },
};
