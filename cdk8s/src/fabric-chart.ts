/** The Helm chart inside of a cdk8s app: one definition of operator and agents, whoever installs them. Needs `helm` when it is synthesized. */
import { fileURLToPath } from "node:url";
import { Helm } from "cdk8s";
import type { Construct } from "constructs";
import type { ChartValues } from "./generated/chart-values.ts";

const CHART = fileURLToPath(new URL("../../charts/secure-access-fabric", import.meta.url));

export interface ChartOptions {
  readonly namespace: string;
  /** Stands in the labels; default `fabric`. */
  readonly releaseName?: string;
  /** A folder, an archive or an oci:// address; by default the chart of this tree. */
  readonly chart?: string;
  /** Default: `helm` on the PATH. */
  readonly helmExecutable?: string;
}

export function fabricChart(scope: Construct, id: string, options: ChartOptions, values: ChartValues): Helm {
  const { namespace, releaseName = "fabric", chart = CHART, helmExecutable } = options;
  return new Helm(scope, id, {
    chart,
    namespace,
    releaseName,
    ...(helmExecutable === undefined ? {} : { helmExecutable }),
    // Hooks are Helm's: nobody would run them.
    values: { ...values, tests: { enabled: false }, uninstall: { takeLeave: false, cleanNodes: false } },
  });
}
