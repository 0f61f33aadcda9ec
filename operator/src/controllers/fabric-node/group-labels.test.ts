import type { FabricNode } from "@saf/crds";
import { labelChanges } from "./group-labels.ts";

const node = (groups: string[] | undefined, labels: Record<string, string>) =>
  ({ metadata: { name: "a", labels }, spec: { groups } }) as unknown as FabricNode;
const rack = {
  "groups.fabric.saf.dev/site": "",
  "groups.fabric.saf.dev/site.berlin": "",
  "groups.fabric.saf.dev/site.berlin.rack-7": "",
};

it.each<[string, string[] | undefined, Record<string, string>, ReturnType<typeof labelChanges>]>([
  ["no folder, no label", undefined, { app: "x" }, undefined],
  ["a folder labels all above it", ["site/berlin/rack-7"], {}, rack],
  ["two folders of one share what is above", ["site/berlin/rack-7", "site/berlin"], {}, rack],
  ["what is right stays", ["site/berlin/rack-7"], { ...rack, app: "x" }, undefined],
  [
    "what somebody wrote there is mended",
    ["site"],
    { "groups.fabric.saf.dev/site": "mine" },
    { "groups.fabric.saf.dev/site": "" },
  ],
  [
    "what is left is taken away, and nothing else",
    ["site/berlin"],
    { ...rack, "other.example/site": "" },
    { "groups.fabric.saf.dev/site.berlin.rack-7": null },
  ],
  [
    "no folder any more",
    [],
    { "groups.fabric.saf.dev/site": "", "groups.fabric.saf.dev/made-by-hand": "" },
    { "groups.fabric.saf.dev/site": null, "groups.fabric.saf.dev/made-by-hand": null },
  ],
])("%s", (_what, groups, labels, changes) => {
  expect(labelChanges(node(groups, labels))).toEqual(changes);
});
