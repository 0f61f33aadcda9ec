/**
 * Every static check, in lanes: the checks of a lane run one after another (cargo locks its target folder), the lanes side
 * by side. A check resolves to what is wrong, or to undefined.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { repositoryRoot as root } from "../bootstrap/artifacts.ts";
import { generatedFiles } from "../codegen/generated-files.ts";
import { cargo } from "./cargo.ts";
import { capture, run } from "./command.ts";
import { wrongFileNames } from "./file-names.ts";
import { wrongImports } from "./imports.ts";
import { sourceFiles } from "./source-files.ts";

export interface Check {
  name: string;
  run(): Promise<string | undefined>;
}

export function staticChecks(env: NodeJS.ProcessEnv): Check[][] {
  const bin = (name: string) => join(root, "node_modules/.bin", name);
  const controlPlane = join(root, "hack/control-plane");
  return [
    [
      { name: "file names", run: async () => lines(wrongFileNames(sourceFiles())) },
      { name: "imports go downwards", run: importsGoDownwards },
      { name: "generated files are current", run: filesAreCurrent },
      { name: "tsc", run: () => run(bin("tsc"), ["-p", root]) },
      { name: "oxlint", run: () => run(bin("oxlint"), ["--type-aware", "--deny-warnings", root]) },
      { name: "prettier", run: () => run(bin("prettier"), ["--check", "--log-level=warn", root]) },
    ],
    [
      { name: "gofmt", run: () => gofmt([controlPlane, join(root, "hack/cluster-dns")]) },
      ...(["engine", "hack/bench/forwarder"] as const).flatMap((crate) => [
        {
          name: `cargo fmt, ${crate}`,
          run: () => cargo(crate, ["fmt", "--check", "--", "--color=never"], env),
        },
        {
          name: `cargo clippy, ${crate}`,
          run: () =>
            cargo(
              crate,
              ["clippy", "--locked", "--quiet", "--all-targets", "--no-deps", "--", "-D", "warnings"],
              env,
            ),
        },
      ]),
      {
        name: "generated engine types are current",
        run: () => cargo("engine", ["test", "--locked", "--quiet", "--lib", "bindings"], env),
      },
    ],
  ];
}

async function importsGoDownwards(): Promise<string | undefined> {
  const paths = sourceFiles().filter((path) => /\.(ts|cjs|mjs|js)$/.test(path));
  const problems = await Promise.all(
    paths.map(async (path) => wrongImports(path, await readFile(join(root, path), "utf8"))),
  );
  return lines(problems.flat());
}

async function filesAreCurrent(): Promise<string | undefined> {
  const stale: string[] = [];
  for (const [path, text] of generatedFiles()) {
    const found = await readFile(path, "utf8").catch(() => undefined);
    if (found !== text) stale.push(`${path}: stale; run npm run generate`);
  }
  return lines(stale);
}

async function gofmt(folders: readonly string[]): Promise<string | undefined> {
  const { code, output } = await capture("gofmt", ["-l", ...folders]);
  return code === 0 && output === "" ? undefined : `not formatted:\n${output}`;
}

function lines(problems: readonly string[]): string | undefined {
  return problems.length === 0 ? undefined : problems.join("\n");
}
