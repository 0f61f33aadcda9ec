/** A file that the engine reads and nobody else: replaced as a whole, never seen half-written. */
import { chmod, rename, writeFile } from "node:fs/promises";

/** Owner writes; the group is the engine's way in. */
const MODE = 0o640;

export async function writePrivateFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  await writeFile(temporary, text, { mode: MODE, flush: true });
  // The umask may have taken the group's bit.
  await chmod(temporary, MODE);
  await rename(temporary, path);
}
