/** @saf/cdk8s: the fabric as cdk8s constructs. What they take is typed, and checked, by the source of the kinds themselves. */
export { FabricCluster, type FabricClusterProps } from "./fabric-cluster.ts";
export { NodeEnrolment, type EnrolledRole, type NodeEnrolmentProps } from "./node-enrolment.ts";
export { AgentDaemonSet, type AgentDaemonSetProps } from "./agent-daemon-set.ts";
export { SecureAccessFabric, type SecureAccessFabricProps } from "./secure-access-fabric.ts";
export type { ChartOptions } from "./fabric-chart.ts";
export type { ChartValues } from "./generated/chart-values.ts";
