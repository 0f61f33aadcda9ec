/** The health checks for Argo CD, over the cases in their own health_test.yaml, whose form is Argo CD's. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { kinds } from "@saf/crds";
import { load } from "js-yaml";
import { argoHealth, customizations, type Health } from "./argo-health.ts";

interface Case {
  readonly inputPath: string;
  readonly healthStatus: Health;
}

const casesOf = (kind: string): readonly Case[] =>
  (load(readFileSync(join(customizations, kind, "health_test.yaml"), "utf8")) as { tests: readonly Case[] })
    .tests;

it("there is a check for every kind, and Argo CD is told of each", () => {
  const names = kinds.map(({ kind }) => kind).sort();
  expect(globSync("*", { cwd: customizations }).sort()).toEqual(names);
  const kustomization = readFileSync(join(customizations, "../../kustomization.yaml"), "utf8");
  for (const kind of names)
    expect(kustomization).toContain(
      `health.fabric.saf.dev_${kind}=resource_customizations/fabric.saf.dev/${kind}/health.lua`,
    );
});

describe.each(kinds.map(({ kind }) => kind))("%s", (kind) => {
  it("has a case for every file of testdata", () => {
    const files = globSync("testdata/*.yaml", { cwd: join(customizations, kind) }).sort();
    expect(
      casesOf(kind)
        .map(({ inputPath }) => inputPath)
        .sort(),
    ).toEqual(files);
  });

  it.each(casesOf(kind))("$inputPath is $healthStatus.status", async ({ inputPath, healthStatus }) => {
    const object = load(readFileSync(join(customizations, kind, inputPath), "utf8")) as object;
    expect(await argoHealth(kind, object)).toEqual(healthStatus);
  });
});
