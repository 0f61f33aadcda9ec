/**
 * Replacing a file so that a crash at any instant leaves the old content or the new, never a mixture:
 * write a temporary file beside it, fsync, rename over, fsync the folder.
 */
import type fs from "node:fs/promises";
import path from "node:path";
import { AgentError, codeIn } from "../errors.ts";

/** The calls that touch the disk, so that tests can make one fail. */
export type FileSystem = Pick<typeof fs, "open" | "rename" | "link" | "unlink">;

/** Throws AgentError STATE_DISK_FULL or STATE_WRITE_FAILED; the file then still has its old content. */
export async function replaceFile(
  files: FileSystem,
  target: string,
  content: Uint8Array | string,
  mode: number,
): Promise<void> {
  const next = `${target}.next`;
  try {
    await writeDurably(files, next, content, mode);
    await files.rename(next, target);
    await syncFolder(files, path.dirname(target));
  } catch (error) {
    await discard(files, next);
    throw writeError(target, error);
  }
}

export async function syncFolder(files: FileSystem, folder: string): Promise<void> {
  await using handle = await files.open(folder, "r");
  await handle.sync();
}

/** Removes a file that may not be there. */
export async function discard(files: FileSystem, target: string): Promise<void> {
  await files.unlink(target).catch(() => undefined);
}

export function writeError(target: string, cause: unknown): AgentError {
  if (cause instanceof AgentError) return cause;
  const name = path.basename(target);
  const reason = codeIn(cause);
  if (reason === "ENOSPC" || reason === "EDQUOT") {
    return new AgentError("STATE_DISK_FULL", `no space to write ${name}; what was there is kept`, { cause });
  }
  return new AgentError("STATE_WRITE_FAILED", `cannot write ${name}`, { cause });
}

async function writeDurably(
  files: FileSystem,
  target: string,
  content: Uint8Array | string,
  mode: number,
): Promise<void> {
  await using handle = await files.open(target, "w", mode);
  await handle.chmod(mode); // the process's umask has no say in who may read a key
  await handle.writeFile(content);
  await handle.sync();
}
