/** Lays the wires of a ground, in place of those of the one before. */
import type { Ground } from "./measure.ts";
import type { Wires } from "./wires.ts";

/** One way. */
const DELAY_MS: Readonly<Record<Ground, number>> = {
  near: 0,
  far: 10,
  alone: 0,
  "two-near": 0,
  "two-far": 20,
};

export async function layGround(wires: Wires, ground: Ground): Promise<void> {
  const delayMs = DELAY_MS[ground];
  await wires.lay("path1", delayMs);
  await wires.trouble("path1", {});
  if (!ground.startsWith("two-")) return wires.remove("path2");
  await wires.lay("path2", delayMs);
  await wires.trouble("path2", {});
}
