/** What a name means: asked of the fabric's own name server, and of this host's resolver as its programs ask it. */
import { Resolver, lookup } from "node:dns/promises";

/** A server of this host answers at once. */
const TIMEOUT_MS = 2_000;

export interface Answer {
  readonly addresses: readonly string[];
  /** A code: `ENOTFOUND`, `ETIMEOUT`; null when it answered. */
  readonly problem: string | null;
}

/** @param server `ip:port` */
export async function askServer(server: string, name: string): Promise<Answer> {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  resolver.setServers([server]);
  return answerOf(async () => [await resolver.resolve4(name), await resolver.resolve6(name)].flat());
}

export async function askHost(name: string): Promise<Answer> {
  return answerOf(async () => (await lookup(name, { all: true })).map(({ address }) => address));
}

async function answerOf(ask: () => Promise<readonly string[]>): Promise<Answer> {
  try {
    return { addresses: await ask(), problem: null };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { addresses: [], problem: code ?? "FAILED" };
  }
}
