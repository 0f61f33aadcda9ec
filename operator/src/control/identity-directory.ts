/** The ledger's identities, kept at hand: deciders look at them often, the ledger is asked when something may have changed. */
import { isDeepStrictEqual } from "node:util";
import type { Identity, Ledger } from "../ledger/ledger.ts";

export interface IdentityDirectory {
  /** Active and revoked ones. */
  all(): readonly Identity[];
  /** Removed ones that must go on being refused. */
  ended(): readonly Identity[];
  byId(nodeId: string): Identity | undefined;
  byName(nodeName: string): Identity | undefined;
  /** Reads the ledger; a caller who waits sees everything that was decided before the call. Throws LedgerError. */
  refresh(): Promise<void>;
  /** Called with the names of the nodes whose identity appeared, changed or went. */
  onChange(listener: (nodeNames: readonly string[]) => void): void;
}

export function createIdentityDirectory(
  ledger: Pick<Ledger, "identities" | "endedIdentities">,
): IdentityDirectory {
  let byId = new Map<string, Identity>();
  let byName = new Map<string, Identity>();
  let ended: readonly Identity[] = [];
  const listeners: ((nodeNames: readonly string[]) => void)[] = [];
  let last: Promise<void> = Promise.resolve();

  const read = async (): Promise<void> => {
    const [identities, over] = [await ledger.identities(), await ledger.endedIdentities()];
    ended = over;
    const before = byName;
    byId = new Map(identities.map((identity) => [identity.nodeId, identity]));
    byName = new Map(identities.map((identity) => [identity.nodeName, identity]));
    const names = [...new Set([...before.keys(), ...byName.keys()])];
    const changed = names.filter((name) => !isDeepStrictEqual(before.get(name), byName.get(name)));
    if (changed.length > 0) listeners.forEach((listener) => listener(changed));
  };

  return {
    all: () => [...byId.values()],
    ended: () => ended,
    byId: (nodeId) => byId.get(nodeId),
    byName: (nodeName) => byName.get(nodeName),
    refresh() {
      // One after the other: a read begun before the caller's decision would not show it.
      last = last.then(read, read);
      return last;
    },
    onChange: (listener) => void listeners.push(listener),
  };
}
