/** One kind of measurement: what it needs and how it is made. */
import type { Contender, Tunnel } from "./contender.ts";
import type { FabricPair } from "./contenders/fabric.ts";
import type { Testbed } from "./testbed.ts";

/** Figures of one sample by name; a name ends with its unit. */
export type Figures = Readonly<Record<string, number>>;

/**
 * How the wires lie; contenders are brought up anew on each ground.
 *
 * near      path1
 * far       path1, with a round trip of 20 ms
 * alone     path1, for what would disturb others that stand on it
 * two-near  path1 and path2
 * two-far   path1 and path2, each with a round trip of 40 ms
 */
export type Ground = "near" | "far" | "alone" | "two-near" | "two-far";

export interface Effort {
  /** Of a transfer. */
  readonly seconds: number;
  /** Echoes of an idle ping. */
  readonly pings: number;
}

export interface Stand {
  readonly bed: Testbed;
  readonly contender: Contender;
  readonly tunnel: Tunnel;
  /** Of our own contenders. */
  readonly fabric: FabricPair | undefined;
  readonly effort: Effort;
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly ground: Ground;
  /** Left out by --quick. */
  readonly slow?: boolean;
  applies(contender: Contender): boolean;
  run(stand: Stand): Promise<Figures>;
}
