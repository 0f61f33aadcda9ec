/** The ledger with a watch on every call: how long it took, how it ended, and whether the database answers. */
import { codeOf } from "../controllers/controller.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { OperatorTelemetry } from "./operator-telemetry.ts";

type Call = (...args: never[]) => unknown;

export function observedLedger(
  ledger: Ledger,
  { metrics, duty }: Pick<OperatorTelemetry, "metrics" | "duty">,
): Ledger {
  const observe =
    (operation: string, call: Call): Call =>
    async (...args) => {
      const startedMs = performance.now();
      const tell = (code: string): void => {
        metrics.ledgerCall({ operation, code, seconds: (performance.now() - startedMs) / 1000 });
        duty.ledger(code !== "LEDGER_UNAVAILABLE");
      };
      try {
        const result = await call(...args);
        tell("OK");
        return result;
      } catch (error) {
        tell(codeOf(error) ?? "FAULT");
        throw error;
      }
    };
  const entries = Object.entries(ledger).map(([name, member]) =>
    typeof member === "function" && name !== "close"
      ? [name, observe(name, member as Call)]
      : [name, member as unknown],
  );
  return Object.fromEntries(entries) as Ledger;
}
