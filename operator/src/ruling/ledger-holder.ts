/** The process's ledger: opened when it is first needed, kept over elections, closed at the end. */
import { openLedger } from "../ledger/open-ledger.ts";
import type { LedgerInit } from "../ledger/open-ledger.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { observedLedger } from "../telemetry/observed-ledger.ts";
import type { OperatorTelemetry } from "../telemetry/operator-telemetry.ts";

export interface LedgerHolder {
  /** Throws LedgerError. */
  forTrustDomain(trustDomain: string): Promise<Ledger>;
  close(): Promise<void>;
}

export interface LedgerHolderInit extends Omit<LedgerInit, "trustDomain"> {
  readonly telemetry: OperatorTelemetry;
}

export function createLedgerHolder({ telemetry, ...init }: LedgerHolderInit): LedgerHolder {
  let ledger: Ledger | undefined;

  const close = async (): Promise<void> => {
    const open = ledger;
    ledger = undefined;
    await open?.close();
  };

  return {
    async forTrustDomain(trustDomain) {
      if (ledger?.trustDomain !== trustDomain) await close();
      ledger ??= observedLedger(await openLedger({ ...init, trustDomain }), telemetry);
      return ledger;
    },
    close,
  };
}
