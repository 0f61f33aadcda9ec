/** A durable file that holds JSON of one schema. A record of another shape is treated as what it is: corrupt. */
import type { z } from "zod";
import { AgentError } from "../errors.ts";
import { durableFile, type DurableFileOptions } from "./durable-file.ts";

export interface DurableRecord<T> {
  /** The record, or null when there is none. Throws AgentError STATE_CORRUPT or STATE_READ_FAILED. */
  load(): Promise<T | null>;
  save(record: T): Promise<void>;
  erase(): Promise<void>;
}

export interface DurableRecordOptions<T> extends DurableFileOptions {
  readonly schema: z.ZodType<T>;
  /** Told when the newest generation was damaged and the one before it is in use. */
  readonly onRecovered: (name: string) => void;
}

export function durableRecord<T>({
  schema,
  onRecovered,
  ...options
}: DurableRecordOptions<T>): DurableRecord<T> {
  const file = durableFile(options);

  async function load(): Promise<T | null> {
    const loaded = await file.load();
    if (loaded.status === "absent") return null;
    if (loaded.status === "recovered") onRecovered(file.name);
    try {
      return schema.parse(JSON.parse(loaded.payload));
    } catch (error) {
      throw new AgentError("STATE_CORRUPT", `${file.name} holds no record of its kind`, { cause: error });
    }
  }

  return { load, save: (record) => file.save(JSON.stringify(record)), erase: () => file.erase() };
}
