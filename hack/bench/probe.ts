/** Runs the gap probe from left to right and says what came. */
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "../demo/wait.ts";
import { BenchError } from "./bench-error.ts";
import type { Progress } from "./gap-probe.ts";
import type { Testbed } from "./testbed.ts";

export interface Probe {
  /** Resolves when both streams have come without a break for half a second, or to false when they have not by then. */
  flowing(timeoutMs: number): Promise<boolean>;
  /** Ends both programs and resolves to all arrivals. */
  end(): Promise<Progress>;
}

const PROGRAM = join(import.meta.dirname, "gap-probe.ts");
const PORT = 6301;
/** Reports in a row in which both streams had something new. */
const STEADY_REPORTS = 5;

export async function startProbe(bed: Testbed, to: string): Promise<Probe> {
  const start = (mode: string) => [process.execPath, PROGRAM, mode, to, String(PORT)];
  const receiver = bed.right.spawn(start("receive"), { stdio: ["ignore", "pipe", "inherit"] });
  const receiverEnded = once(receiver, "exit");
  let last: Progress | undefined;
  let steady = 0;
  createInterface({ input: receiver.stdout! }).on("line", (line) => {
    const next = JSON.parse(line) as Progress;
    const moved = (part: keyof Progress): boolean => next[part].count > (last?.[part].count ?? 0);
    steady = moved("interactive") && moved("bulk") ? steady + 1 : 0;
    last = next;
  });
  const wait = (what: string, look: () => boolean, timeoutMs: number) =>
    until(what, async () => look() || undefined, { timeoutMs, everyMs: 20 });
  await wait("the probe listens", () => last !== undefined, 5_000);
  const sender = bed.left.spawn(start("send"), { stdio: ["ignore", "ignore", "inherit"] });
  const senderEnded = once(sender, "exit");

  return {
    flowing: async (timeoutMs) => {
      steady = 0;
      return wait("traffic flows", () => steady >= STEADY_REPORTS, timeoutMs).then(
        () => true,
        () => false,
      );
    },
    end: async () => {
      sender.kill("SIGKILL");
      await senderEnded;
      receiver.kill("SIGTERM");
      await receiverEnded;
      if (last === undefined) throw new BenchError("the probe said nothing");
      return last;
    },
  };
}
