/**
 * Alerts and dashboards of the chart speak of metrics that are there, with labels and values that they can have; each alert has its
 * page, and each page its alert.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { load } from "js-yaml";
import { repositoryRoot } from "../bootstrap/artifacts.ts";
import { metricsOf } from "../codegen/metrics.ts";

const chart = join(repositoryRoot, "charts/secure-access-fabric");
const runbooks = join(repositoryRoot, "docs/runbooks");
const RUNBOOK_URL = "https://github.com/secure-access-fabric/secure-access-fabric/blob/main/docs/runbooks/";

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook_url: string;
  };
}
interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const alerts = globSync("alerts/*.yaml", { cwd: chart }).flatMap((file) => {
  const { groups } = load(readFileSync(join(chart, file), "utf8")) as { groups: { rules: Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
});
const panels = globSync("dashboards/*.json", { cwd: chart }).flatMap((file) =>
  (JSON.parse(readFileSync(join(chart, file), "utf8")) as { panels: Panel[] }).panels.map((panel) => ({
    file,
    ...panel,
  })),
);
const metrics = new Map(
  [...metricsOf("agent"), ...metricsOf("operator")].map((metric) => [metric.name, metric]),
);
/** Given by Prometheus and by whoever scrapes. */
const OF_THE_SCRAPE = ["instance", "job", "namespace", "pod", "le"];

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** Throws when it is not PromQL. */
function selectorsIn(expression: string): Selector[] {
  // What Grafana fills in before it asks.
  const source = expression.replaceAll("$__rate_interval", "5m").replaceAll(/\$(namespace|node)/g, ".*");
  const selectors: { metric: string; matchers: { label: string; operator: string; value: string }[] }[] = [];
  parser.parse(source).iterate({
    enter: (node) => {
      const text = source.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${source}`);
      if (node.name === "VectorSelector") selectors.push({ metric: text.split("{")[0] ?? "", matchers: [] });
      if (node.name === "UnquotedLabelMatcher") {
        const [, label = "", operator = "", value = ""] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(text) ?? [];
        selectors.at(-1)?.matchers.push({ label, operator, value });
      }
    },
  });
  return selectors;
}

function problemsOf(expression: string): string[] {
  return selectorsIn(expression).flatMap(({ metric: name, matchers }) => {
    if (name === "up") return [];
    const metric = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ""));
    if (!metric) return [`there is no metric ${name}`];
    return matchers.flatMap(({ label, operator, value }) => {
      if (OF_THE_SCRAPE.includes(label)) return [];
      const bound = metric.labels[label];
      if (bound === undefined) return [`${name} has no label ${label}`];
      if ("atMost" in bound) return [];
      const values = operator.endsWith("~") ? value.split("|") : [value];
      return values.filter((one) => !bound.includes(one)).map((one) => `${name}: ${label} is never ${one}`);
    });
  });
}

const page = (alert: string): string => `${alert.replaceAll(/(?<!^)(?=[A-Z])/g, "-").toLowerCase()}.md`;

it("finds what is wrong with an expression", () => {
  expect(problemsOf('rate(fabric_engine_bytes_total{direction="sent"}[5m])')).toEqual([]);
  expect(problemsOf("fabric_agent_no_such_thing")).toEqual(["there is no metric fabric_agent_no_such_thing"]);
  expect(problemsOf('fabric_agent_state{peer="a"}')).toEqual(["fabric_agent_state has no label peer"]);
  expect(problemsOf('fabric_agent_state{state=~"running|happy"}')).toEqual([
    "fabric_agent_state: state is never happy",
  ]);
  expect(() => problemsOf("sum(rate(x[5m]")).toThrow("not PromQL");
});

it.each(alerts.map((alert) => [alert.alert, alert] as const))("alert %s", (name, alert) => {
  expect(problemsOf(alert.expr)).toEqual([]);
  expect(["critical", "warning", "info"]).toContain(alert.labels.severity);
  expect(alert.annotations).toMatchObject({
    summary: expect.any(String),
    description: expect.any(String),
    runbook_url: RUNBOOK_URL + page(name),
  });
  const text = readFileSync(join(runbooks, page(name)), "utf8");
  for (const heading of [`# ${name}`, "## What it means", "## Who is affected", "## Look", "## Do"])
    expect(text).toContain(`${heading}\n`);
  for (const [, metric = ""] of text.matchAll(/`(fabric_(?:agent|engine|operator)_[a-z_]+)/g))
    expect(metrics.has(metric) || metrics.has(metric.replace(/_(bucket|sum|count)$/, ""))).toBe(true);
  for (const [, link = ""] of text.matchAll(/\]\(([a-z-]+\.md)\)/g))
    expect(existsSync(join(runbooks, link))).toBe(true);
});

it("has an alert for every page, and every alert once", () => {
  const pages = globSync("*.md", { cwd: runbooks }).filter((file) => file !== "README.md");
  expect(pages.map((file) => basename(file)).sort()).toEqual(alerts.map(({ alert }) => page(alert)).sort());
  expect(alerts.length).toBeGreaterThan(20);
  const index = readFileSync(join(runbooks, "README.md"), "utf8");
  for (const { alert } of alerts) expect(index).toContain(`[${alert}](${page(alert)})`);
});

it.each(
  panels.filter(({ type }) => type !== "row").map((panel) => [panel.file, panel.title, panel] as const),
)("%s: %s", (_file, _title, { targets = [] }) => {
  expect(targets.length).toBeGreaterThan(0);
  for (const { expr } of targets) expect(problemsOf(expr)).toEqual([]);
});

it("labels nothing with names, addresses or ids", () => {
  const forbidden = /peer|node_?name|address|remote|endpoint|token|fingerprint|(^|_)id$/;
  const labels = [...metrics.values()].flatMap(({ name, labels: bounds }) =>
    Object.keys(bounds).map((label) => `${name} ${label}`),
  );
  expect(labels.filter((label) => forbidden.test(label.split(" ")[1] ?? ""))).toEqual([]);
});
