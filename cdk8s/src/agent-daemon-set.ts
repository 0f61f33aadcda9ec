/** Agents alone, on every node of a Kubernetes cluster, for an operator in another namespace. */
import type { Helm } from "cdk8s";
import { Construct } from "constructs";
import { fabricChart, type ChartOptions } from "./fabric-chart.ts";
import type { ChartValues } from "./generated/chart-values.ts";

type AgentValues = NonNullable<ChartValues["agent"]>;

export interface AgentDaemonSetProps extends ChartOptions {
  /** `https://host:port` of the operator. */
  readonly server: string;
  /** `pin` and `ca.crt` of its ConfigMap fabric-trust. */
  readonly trust: { readonly pin: string; readonly ca: string };
  readonly image?: ChartValues["image"];
  readonly agent?: Omit<AgentValues, "enabled" | "server" | "trust">;
}

export class AgentDaemonSet extends Construct {
  readonly chart: Helm;

  constructor(
    scope: Construct,
    id: string,
    { server, trust, image, agent, ...options }: AgentDaemonSetProps,
  ) {
    super(scope, id);
    this.chart = fabricChart(this, "chart", options, {
      ...(image ? { image } : {}),
      crds: { install: false },
      operator: { enabled: false },
      agent: { ...agent, enabled: true, server, trust },
    });
  }
}
