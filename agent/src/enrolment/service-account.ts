/**
 * What a pod asks with instead of a join token: its projected service-account token, and the pin of the fabric's authority, which
 * the operator publishes beside it. Both files change while the pod runs (the kubelet writes a new token well before the old one
 * ends), so they are read for each attempt.
 */
import { open } from "node:fs/promises";
import { MAX_SERVICE_ACCOUNT_TOKEN_LENGTH, PIN_PATTERN } from "@saf/protocol";
import { AgentError } from "../errors.ts";

/** 43 characters and a line's end. */
const MAX_PIN_BYTES = 64;

export interface ServiceAccountFiles {
  readonly serviceAccountTokenFile: string;
  readonly pinFile: string;
}

export interface ServiceAccount {
  /** Throws AgentError TOKEN_UNREADABLE. */
  token(): Promise<string>;
  /** Throws AgentError PIN_UNREADABLE. */
  pin(): Promise<string>;
}

export function serviceAccountFrom({
  serviceAccountTokenFile,
  pinFile,
}: ServiceAccountFiles): ServiceAccount {
  return {
    async token() {
      const text = await readBounded(
        serviceAccountTokenFile,
        MAX_SERVICE_ACCOUNT_TOKEN_LENGTH,
        "TOKEN_UNREADABLE",
      );
      if (text === "") throw new AgentError("TOKEN_UNREADABLE", `${serviceAccountTokenFile} is empty`);
      return text;
    },
    async pin() {
      const text = await readBounded(pinFile, MAX_PIN_BYTES, "PIN_UNREADABLE");
      if (!PIN_PATTERN.test(text))
        throw new AgentError(
          "PIN_UNREADABLE",
          `${pinFile} holds no pin: it comes from the ConfigMap fabric-trust`,
        );
      return text;
    },
  };
}

async function readBounded(
  path: string,
  maxBytes: number,
  code: "TOKEN_UNREADABLE" | "PIN_UNREADABLE",
): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
      if (bytesRead > maxBytes) throw new RangeError(`over ${maxBytes} bytes`);
      return buffer.toString("utf8", 0, bytesRead).trim();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new AgentError(code, `cannot read ${path}`, { cause });
  }
}
