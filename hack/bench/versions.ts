/** What took part, by version. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";

export function readVersions(): Record<string, string> {
  const engine = createHash("sha256").update(readFileSync(artifacts().engine)).digest("hex");
  return {
    tree: firstLine("git", ["-C", repositoryRoot, "describe", "--always", "--dirty", "--abbrev=12"]),
    engine: `sha256 ${engine.slice(0, 16)}`,
    node: process.version,
    rustc: firstLine("rustc", ["--version"]),
    go: firstLine("go", ["version"]),
    iperf3: firstLine("iperf3", ["--version"]),
    ping: firstLine("ping", ["-V"]),
  };
}

function firstLine(command: string, args: readonly string[]): string {
  try {
    return (
      execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0] ??
      ""
    );
  } catch {
    return "unknown"; // a tree without git is measured all the same
  }
}
