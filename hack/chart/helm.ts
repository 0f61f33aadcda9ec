/** The chart and a real Helm, as tests use them. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";

export const chart = join(repositoryRoot, "charts/secure-access-fabric");

/** A chart renders in a tenth of a second; an install waits for hooks. */
const TIMEOUT_MS = 120_000;

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool to its end, whatever that is. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const child = spawn(command, args, { env: { ...process.env, ...options.env }, timeout: TIMEOUT_MS });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined); // it may end without reading
  child.stdin.end(options.input ?? "");
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Rejects with what it said on stderr. */
export async function succeed(answer: Promise<Answer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** Values go in as a file, which JSON is too. */
export function helm(
  args: readonly string[],
  values: object = {},
  env: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return run(artifacts().helm, [...args, "--values", "-"], { input: JSON.stringify(values), env });
}

/** What `helm template` makes, or why not. */
export function render(values: object, namespace = "home"): Promise<Answer> {
  return helm(["template", "fabric", chart, "--namespace", namespace], values);
}
