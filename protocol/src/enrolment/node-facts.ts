/** What a node says of itself. Shown to people and used for ranking; never a permission. */
import { z } from "zod";

/** Terminals, Kubernetes objects and PostgreSQL show and keep it: no control characters, no half surrogates. */
const label = z
  .string()
  .max(128)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u);

export const facts = z.object({
  hostname: label,
  os: label,
  arch: label,
  kernel: label,
  cpus: z.int().min(1).max(4096),
  memoryBytes: z.int().nonnegative(),
  agentVersion: label,
});
export type Facts = z.infer<typeof facts>;

export const capabilities = z.object({
  /** Session protocols it speaks, newest first: `saf/1`. */
  protocolVersions: z.array(z.string().max(16)).min(1).max(8),
});
export type Capabilities = z.infer<typeof capabilities>;
