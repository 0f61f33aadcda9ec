/** Where `fabric join` takes its token from: a file, stdin (`-`), or, visible to every user of the host, the command line. */
import { open } from "node:fs/promises";
import { CliError, EXIT, usageError } from "../errors.ts";

/** A token has about 160 characters. */
const MAX_TOKEN_FILE_BYTES = 1024;

export interface TokenOptions {
  token?: string | undefined;
  tokenFile?: string | undefined;
}

export async function readToken({ token, tokenFile }: TokenOptions): Promise<string> {
  if ((token === undefined) === (tokenFile === undefined)) {
    throw usageError("give the token by exactly one of --token-file and --token");
  }
  return (token ?? (await readBounded(tokenFile ?? ""))).trim();
}

async function readBounded(path: string): Promise<string> {
  const buffer = Buffer.alloc(MAX_TOKEN_FILE_BYTES);
  let length = 0;
  try {
    const file = await open(path === "-" ? "/dev/stdin" : path);
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) break;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CliError("TOKEN_UNREADABLE", `the token cannot be read: ${message}`, {
      exit: EXIT.failure,
      cause: error,
    });
  }
  return buffer.toString("utf8", 0, length);
}
