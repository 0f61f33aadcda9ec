/** The process's ledger: opened when it is first needed, kept over elections, closed at the end. */
import { openLedger } from "../ledger/open-ledger.ts";
import type { LedgerInit } from "../ledger/open-ledger.ts";
import type { Ledger } from "../ledger/ledger.ts";

export interface LedgerHolder {
  /** Throws LedgerError. */
  forTrustDomain(trustDomain: string): Promise<Ledger>;
  close(): Promise<void>;
}

export function createLedgerHolder(init: Omit<LedgerInit, "trustDomain">): LedgerHolder {
  let ledger: Ledger | undefined;

  const close = async (): Promise<void> => {
    const open = ledger;
    ledger = undefined;
    await open?.close();
  };

  return {
    async forTrustDomain(trustDomain) {
      if (ledger?.trustDomain !== trustDomain) await close();
      ledger ??= await openLedger({ ...init, trustDomain });
      return ledger;
    },
    close,
  };
}
