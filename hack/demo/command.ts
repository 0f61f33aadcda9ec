/** A program run by the demo, and what it said. */
import type { ChildProcess } from "node:child_process";
import { until } from "./wait.ts";

export interface RunningCommand {
  /** Everything it printed so far. */
  output(): string;
  /** Resolves when it has printed the text. */
  says(text: string, timeoutMs: number): Promise<void>;
  /** Resolves to all that it printed when it ended with 0; rejects when it ended otherwise or not in time. */
  ended(timeoutMs: number): Promise<string>;
  /** Interrupts it as Ctrl-C does and resolves to all that it printed. */
  interrupt(): Promise<string>;
}

export function follow(name: string, child: ChildProcess): RunningCommand {
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code));
  });
  const ended = async (timeoutMs: number): Promise<string> => {
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const code = await exit;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`${name} ended with ${code ?? "a signal"}: ${said.trim().slice(-500)}`);
    return said;
  };
  return {
    output: () => said,
    says: async (text, timeoutMs) => {
      await until(`${name} says ${text}`, async () => (said.includes(text) ? true : undefined), {
        timeoutMs,
        everyMs: 10,
      });
    },
    ended,
    interrupt: async () => {
      child.kill("SIGINT");
      await exit;
      return said;
    },
  };
}
