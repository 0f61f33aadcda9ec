/** Everything goes, in the order that docs/install.md says, and nothing is left: no object, interface, route, rule or file. */
import type { Step } from "../../../../demo/story.ts";
import { require, until } from "../../../../demo/wait.ts";
import type { Machine } from "../../machine.ts";
import { NODES, OFF_CLUSTER } from "../../topology.ts";
import { CLUSTER_NAME, NAMESPACE, RELEASE, type ClusterStage } from "../cluster-stage.ts";
import { secondsSince } from "../measures.ts";
import { releaseValues } from "../values.ts";

const FABRIC = "/opt/fabric/bin/fabric";
/** What a namespace has by itself. */
const NOT_OURS = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
/** What docs/install.md says that an uninstall keeps. */
const KEPT = [
  `cluster.fabric.saf.dev/${CLUSTER_NAME}`,
  "lease.coordination.k8s.io/fabric-operator",
  "secret/fabric-authority",
  "secret/ledger",
  "configmap/fabric-trust",
  "pod/fabric-test",
];
/** An emptied folder is a leftover too. What containerd has are images. */
const FIND = `find /etc /opt /usr/local /var/lib /run \\
  -path /var/lib/containerd -prune -o -path /run/containerd -prune -o -name '*fabric*' -print 2>/dev/null
grep fabric /etc/passwd /etc/group || true`;
const GONE_MS = 90_000;

export const departure: readonly Step<ClusterStage>[] = [
  {
    title: "helm uninstall: members leave, nodes are cleaned, what stays is what the chart keeps",
    run: async (stage) => {
      await requireTraces(stage);
      const uninstall = { takeLeave: true, cleanNodes: true };
      await stage.release("upgrade", { ...releaseValues, uninstall });
      await stage.kubectlWithin(GONE_MS, "rollout", "status", "deployment/fabric-operator");
      const startedMs = performance.now();
      await stage.helm("uninstall", RELEASE, "--timeout=90s");
      const took = secondsSince(startedMs);
      await until(
        "every pod is gone",
        async () => {
          const pods = (await stage.kubectl("get", "pods", "--output=name")).split("\n");
          return pods.every((name) => name === "" || KEPT.includes(name)) || undefined;
        },
        { timeoutMs: GONE_MS, everyMs: 250 },
      );
      const left = (await objectsIn(stage)).filter((name) => !NOT_OURS.includes(name));
      const unexpected = left.filter((name) => !KEPT.includes(name) && !name.startsWith("joinrequest"));
      require(unexpected.length === 0, `left: ${unexpected.join(" ")}`);
      return `after ${took}; kept: ${left.join(" ")}`;
    },
  },
  {
    title: "Namespace and kinds are deleted: the API server knows nothing of the fabric",
    run: async (stage) => {
      await stage.kubectlWithin(GONE_MS, "delete", "namespace", NAMESPACE);
      const kinds = (await stage.kubectl("get", "crd", "--output=name"))
        .split("\n")
        .filter((name) => name.endsWith("fabric.saf.dev"));
      await stage.kubectlWithin(GONE_MS, "delete", ...kinds);
      await stage.kubectl(
        "delete",
        "validatingadmissionpolicy,validatingadmissionpolicybinding",
        "approvals.joinrequests.fabric.saf.dev",
      );
      const scoped = await clusterScoped(stage);
      const left = scoped.filter((name) => /fabric/.test(name));
      require(left.length === 0, left.join(" "));
      return `${kinds.length} kinds deleted; ${scoped.length} cluster-wide objects are left, none ours`;
    },
  },
  {
    title: "fabric uninstall, and the hosts are clean: no interface, route, rule or file",
    run: async (stage) => {
      const { offCluster, nodes, lab } = stage.cluster;
      for (const unit of ["fabric-agent", "fabric-engine"])
        await lab.supervisor.stop(`${OFF_CLUSTER}/${unit}`);
      await offCluster.run([FABRIC, "uninstall"]);
      const left = (await Promise.all([offCluster, ...nodes].map(leftOn))).flat();
      require(left.length === 0, left.join("\n"));
      return [...NODES, OFF_CLUSTER].join(", ");
    },
  },
];

/** Names of every namespaced object in the fabric's namespace, Events aside. */
async function objectsIn(stage: ClusterStage): Promise<string[]> {
  const kinds = await listableKinds(stage, "--namespaced=true");
  const names = await stage.kubectl("get", kinds, "--output=name", "--ignore-not-found");
  return names.split("\n").filter((name) => name !== "" && !/^event|^lease.*apiserver/.test(name));
}

async function clusterScoped(stage: ClusterStage): Promise<string[]> {
  const kinds = await listableKinds(stage, "--namespaced=false");
  return (await stage.kubectl("get", kinds, "--output=name", "--ignore-not-found")).split("\n");
}

async function listableKinds(stage: ClusterStage, scope: string): Promise<string> {
  const said = await stage.kubectl("api-resources", "--verbs=list", "--output=name", scope);
  return said
    .split("\n")
    .filter((name) => !name.startsWith("events"))
    .join(",");
}

/** A look that finds nothing now would find nothing at the end either. */
async function requireTraces({ cluster }: ClusterStage): Promise<void> {
  for (const machine of [cluster.offCluster, ...cluster.nodes]) {
    const found = (await leftOn(machine)).join("\n");
    for (const trace of ["fabric0: <", "dev fabric0", ": /var/lib/fabric", "fabric-engine --config"])
      require(found.includes(trace), `${machine.name} runs the fabric, and ${trace} is not seen:\n${found}`);
  }
}

/** What still speaks of the fabric on a host. */
async function leftOn(machine: Machine): Promise<string[]> {
  const say = async (...words: string[]): Promise<string[]> =>
    (await machine.run(words)).stdout.split("\n").filter(Boolean);
  const [links, routes, rules, files, processes] = await Promise.all([
    say("ip", "-o", "link", "show"),
    say("sh", "-c", "ip -4 route show table all; ip -6 route show table all; ip rule; ip -6 rule"),
    // kube-proxy clears what it had of a Service in its own tables, and in its own time.
    say("sh", "-ec", "nft list tables | grep -v kube-proxy | while read -r table; do nft list $table; done"),
    say("sh", "-c", FIND),
    say("sh", "-c", "ps -eo args | grep -E '[f]abric-(engine|agent|operator)' || true"),
  ]);
  const ours = [
    ...links.filter((line) => line.includes("fabric")),
    ...routes.filter((line) => /fabric|100\.96\.|fd5a:f00d/.test(line)),
    ...rules.filter((line) => /fabric|100\.96\.|fd5a:f00d/.test(line)),
    ...files,
    ...processes,
  ];
  return ours.map((line) => `${machine.name}: ${line.trim()}`);
}
