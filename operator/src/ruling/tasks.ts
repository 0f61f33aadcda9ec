/** Runs tasks that belong together: when one ends in an error all are told to stop, and all are waited for. */

export type Task = (signal: AbortSignal) => Promise<void>;

/** Resolves when every task has ended; rejects with the first error after that. */
export async function runTogether(controller: AbortController, tasks: readonly Task[]): Promise<void> {
  const settled = await Promise.allSettled(
    tasks.map(async (task) => {
      try {
        await task(controller.signal);
      } catch (error) {
        controller.abort();
        throw error;
      }
    }),
  );
  const failed = settled.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
