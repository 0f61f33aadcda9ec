/** Something that carries packets between the two hosts, and how to bring it up. */
import type { Testbed } from "./testbed.ts";

/**
 * ours       the fabric: real agents with real snapshots
 * peer       what people use today, built at an exact version
 * ceiling    what the kernel allows, without a protocol
 * reference  a program that a description file names
 */
export type ContenderKind = "ours" | "peer" | "ceiling" | "reference";

export interface Contender {
  readonly name: string;
  readonly title: string;
  readonly kind: ContenderKind;
  readonly version: string;
  /** Brings it up over path1; resolves when packets cross. */
  start(bed: Testbed): Promise<Tunnel>;
}

export interface InnerAddresses {
  readonly ipv4: string;
  readonly ipv6?: string;
}

export interface Tunnel {
  /** Inside the tunnel. */
  readonly left: InnerAddresses;
  readonly right: InnerAddresses;
  /** The processes that move packets, of both ends. */
  pids(): number[];
  /** Those that command them, if any. */
  agentPids(): number[];
  /** Called before each measure; resolves when packets cross. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}
