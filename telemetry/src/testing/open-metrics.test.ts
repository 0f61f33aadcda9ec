import { readOpenMetrics } from "./open-metrics.ts";

const head = "# HELP a Text.\n# TYPE a counter\n";
const wait = "# HELP w Text.\n# TYPE w histogram\n";

it.each([
  ["no end", `${head}a_total 1\n`],
  ["a counter without _total", `${head}a 1\n# EOF\n`],
  ["a counter below zero", `${head}a_total -1\n# EOF\n`],
  ["the same series twice", `${head}a_total{x="1"} 1\na_total{x="1"} 2\n# EOF\n`],
  ["a family in two pieces", `${head}a_total 1\n# HELP b B.\n# TYPE b gauge\nb 1\n${head}a_total 2\n# EOF\n`],
  ["an open quote", `${head}a_total{x="1} 1\n# EOF\n`],
  ["a line break in a label", `${head}a_total{x="1\n2"} 1\n# EOF\n`],
  ["a comma at the end of labels", `${head}a_total{x="1",} 1\n# EOF\n`],
  ["no number", `${head}a_total x\n# EOF\n`],
  ["no type", `# HELP a Text.\na_total 1\n# EOF\n`],
  ["no help", `# TYPE a counter\na_total 1\n# EOF\n`],
  ["an empty line", `${head}a_total 1\n\n# EOF\n`],
  ["buckets that shrink", `${wait}w_bucket{le="1"} 2\nw_bucket{le="+Inf"} 1\nw_sum 1\nw_count 1\n# EOF\n`],
  ["a histogram without +Inf", `${wait}w_bucket{le="1"} 1\nw_sum 1\nw_count 1\n# EOF\n`],
])("refuses %s", (_, text) => {
  expect(() => readOpenMetrics(text)).toThrow();
});

it("reads what is right", () => {
  const text = `${head}a_total{x="q\\"\\\\",y="z"} 1e+06\n# EOF\n`;
  expect(readOpenMetrics(text).get("a")?.samples).toEqual([
    { name: "a_total", labels: { x: 'q\\"\\\\', y: "z" }, value: 1e6 },
  ]);
});
