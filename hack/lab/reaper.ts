/**
 * Sees to it that a lab whose process is killed with -9 leaves nothing: a shell waits for the end of a pipe that only
 * the lab holds, and then sweeps. A lab that ends in order sends it away first.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export interface Reaper {
  dismiss(): Promise<void>;
}

export function startReaper(parent: string): Reaper {
  const script = 'read -r _ || exec "$0" "$@"'; // a line: dismissed; the end of the pipe: the lab is dead
  const sweep = [process.execPath, join(import.meta.dirname, "sweep.ts"), parent];
  const shell = spawn("sh", ["-c", script, ...sweep], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  return {
    dismiss: async () => {
      shell.ref();
      const ended = once(shell, "exit");
      shell.stdin.end("dismissed\n");
      await ended;
    },
  };
}
