/** docs/metrics.md out of the programs: every metric with its labels, their bounds, and what it means. */
import { boundText, type MetricDescription } from "../../telemetry/src/index.ts";
import { createAgentMetrics } from "../../agent/src/telemetry/agent-metrics.ts";
import { createOperatorMetrics } from "../../operator/src/telemetry/operator-metrics.ts";

/** What monitoring may ask of either program. */
export function metricsOf(program: "agent" | "operator"): readonly MetricDescription[] {
  if (program === "operator") return createOperatorMetrics().set.described;
  const source = (): never => {
    throw new Error("descriptions need no values");
  };
  return createAgentMetrics({ status: source, engine: source }).set.described;
}

/** The text of docs/metrics.md. */
export function metricsPage(): string {
  return `${[
    "# Metrics",
    "Every metric of agent and operator. Generated from the sources by `npm run generate`: change it there. What the numbers are for: [observability.md](observability.md).",
    "A label has a bound, here in its column; a value outside of it becomes `other`. No label ever is a name of a node or peer, an address, an id or a message: which node it is, the monitoring system knows from where it asked.",
    "Counters grow as long as the program runs. Those of `fabric_engine_` go on over a restart of the engine and over peers that leave: the agent adds up what the engine counted between two looks (every 1 to 5 s, and at each scrape). What an engine or a peer did between the last look and its end is not in them, nor what an engine did before the agent started.",
    "## Agent (`fabric_agent_`, `fabric_engine_`)",
    table(metricsOf("agent")),
    "## Operator (`fabric_operator_`)",
    table(metricsOf("operator")),
  ].join("\n\n")}\n`;
}

function table(metrics: readonly MetricDescription[]): string {
  const rows = metrics.map(({ name, type, help, labels }) => {
    const bounds = Object.entries(labels).map(([label, bound]) => `\`${label}\`: ${boundText(bound)}`);
    return `| \`${name}\` | ${type} | ${bounds.join("<br>") || "-"} | ${help} |`;
  });
  return ["| metric | type | labels | what |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
