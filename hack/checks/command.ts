/** Runs one tool of a check and keeps what it said, so that checks can run side by side and still print in order. */
import { spawn } from "node:child_process";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

/** A tool that hangs fails its check; the slowest one (a cold clippy) takes two minutes on two cores. */
const TIMEOUT_MS = 15 * 60_000;

/** Resolves to the problem when the command fails or is missing, else to undefined. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<string | undefined> {
  const { code, output } = await capture(command, args, options);
  return code === 0 ? undefined : output || `${command} ended with code ${code}`;
}

export function capture(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? repositoryRoot,
      env: options.env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
    });
    let output = "";
    const keep = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => resolve({ code: 127, output: `${command}: ${error.message}` }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "?", output: output.trim() }));
  });
}
