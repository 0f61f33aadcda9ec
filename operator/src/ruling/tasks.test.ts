import { aborted } from "../kube/work-queue.ts";
import { runTogether } from "./tasks.ts";

it("ends all when one fails, waits for all, and says what failed", async () => {
  const ended: string[] = [];
  const office = new AbortController();
  const steady = async (signal: AbortSignal): Promise<void> => {
    await aborted(signal);
    await new Promise((resolve) => setImmediate(resolve));
    ended.push("steady");
  };
  const failing = async (): Promise<void> => {
    throw new Error("the port is taken");
  };
  await expect(runTogether(office, [steady, failing])).rejects.toThrow("the port is taken");
  expect(ended).toEqual(["steady"]);
});

it("ends when it is told to", async () => {
  const office = new AbortController();
  const running = runTogether(office, [aborted, aborted]);
  office.abort();
  await running;
});
