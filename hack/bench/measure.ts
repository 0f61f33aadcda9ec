/** One kind of measurement: what it needs and how it is made. */
import type { Contender, Tunnel } from "./contender.ts";
import type { FabricPair } from "./contenders/fabric.ts";
import type { Testbed } from "./testbed.ts";

/** Figures of one sample by name; a name ends with its unit. */
export type Figures = Readonly<Record<string, number>>;

/** How the wires lie. A measure is made on one ground; contenders are brought up anew on each. */
export type Ground = "near" | "far" | "two-near" | "two-far";

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
