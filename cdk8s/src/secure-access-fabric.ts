/** Everything that a fabric needs in its namespace: kinds, operator, agents, and its Cluster. */
import type { Helm } from "cdk8s";
import { Construct } from "constructs";
import { FabricCluster, type FabricClusterProps } from "./fabric-cluster.ts";
import { fabricChart, type ChartOptions } from "./fabric-chart.ts";
import type { ChartValues } from "./generated/chart-values.ts";

export interface SecureAccessFabricProps extends ChartOptions {
  readonly cluster?: Omit<FabricClusterProps, "metadata">;
  /** The chart's values; the Cluster is said above. */
  readonly values?: Omit<ChartValues, "cluster" | "tests" | "uninstall">;
}

export class SecureAccessFabric extends Construct {
  readonly chart: Helm;
  readonly cluster: FabricCluster | undefined;

  constructor(scope: Construct, id: string, { cluster, values = {}, ...options }: SecureAccessFabricProps) {
    super(scope, id);
    this.chart = fabricChart(this, "chart", options, values);
    const { namespace } = options;
    this.cluster = cluster && new FabricCluster(this, "home", { ...cluster, metadata: { namespace } });
    this.cluster?.node.addDependency(this.chart); // its kind first
  }
}
