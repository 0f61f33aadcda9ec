/** The downward-imports rule, by example. */
import { wrongImports } from "./imports.ts";

const problems = (path: string, specifier: string) =>
  wrongImports(path, `import { x } from "${specifier}";\n`);

describe("wrongImports", () => {
  it.each([
    ["operator/src/main.ts", "@saf/crds"],
    ["operator/src/main.ts", "@saf/engine"],
    ["operator/src/ledger/ledger.ts", "../../../migrations/0001-init.ts"],
    ["agent/src/main.ts", "@saf/protocol"],
    ["agent/src/main.ts", "./config.ts"],
    ["agent/src/main.ts", "node:fs"],
    ["cli/src/main.ts", "@saf/crds"],
    ["cdk8s/src/index.ts", "@saf/crds"],
    ["hack/demo/main.ts", "../../operator/src/main.ts"],
    ["crds/src/api.e2e.test.ts", "../../hack/control-plane/control-plane.ts"],
    ["agent/src/peers.lab.test.ts", "../../hack/lab/lab.ts"],
    ["operator/src/e2e/stage.ts", "../../../hack/lab/lab.ts"],
  ])("%s may import %s", (path, specifier) => {
    expect(problems(path, specifier)).toEqual([]);
  });

  it.each([
    ["operator/src/main.ts", "@saf/agent"],
    ["agent/src/main.ts", "@saf/operator"],
    ["agent/src/main.ts", "../../operator/src/main.ts"],
    ["crds/src/index.ts", "@saf/protocol"],
    ["crds/src/index.ts", "@saf/cdk8s"],
    ["cdk8s/src/index.ts", "@saf/operator"],
    ["protocol/src/index.ts", "@saf/engine"],
    ["engine/client/index.ts", "@saf/operator"],
    ["operator/src/main.ts", "../../crds/src/index.ts"],
    ["operator/src/main.ts", "../../hack/lab/lab.ts"],
    ["operator/src/main.test.ts", "../../hack/lab/lab.ts"],
  ])("%s may not import %s", (path, specifier) => {
    expect(problems(path, specifier)).toHaveLength(1);
  });

  it("sees every form of import", () => {
    const source = [
      `import "@saf/agent";`,
      `export * from '@saf/agent';`,
      `import {\n  a,\n} from "@saf/agent";`,
      `const b = await import("@saf/agent");`,
      `import type { C } from "@saf/agent";`,
    ].join("\n");
    expect(wrongImports("operator/src/x.ts", source)).toHaveLength(5);
  });
});
