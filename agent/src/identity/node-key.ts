/**
 * The node's key pair (ECDSA P-256): made here, never sent anywhere.
 *
 * The durable record `key` (0600, two generations) is what the agent believes. `node.key` beside it is the same key as bare
 * PEM for the engine, which runs as another user of the same group: 0640, rewritten at every start if it differs.
 */
import { createPrivateKey, sign, verify, createPublicKey, type KeyObject } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { fingerprintOfKey, generateNodeKey } from "@saf/protocol";
import { AgentError } from "../errors.ts";
import { durableFile } from "../state/durable-file.ts";
import { replaceFile } from "../state/replace-file.ts";

export interface NodeKey {
  readonly pem: string;
  readonly privateKey: KeyObject;
  readonly fingerprint: string;
}

export interface NodeKeyOptions {
  /** `<state folder>/identity`, which exists. */
  readonly folder: string;
  readonly onRecovered: (name: string) => void;
}

/** A P-256 key in PEM is 241 bytes. */
const MAX_KEY_BYTES = 4096;
const ENGINE_KEY_MODE = 0o640;

/** The node's key; made on first use. Throws AgentError STATE_CORRUPT when both copies are damaged: it is never replaced silently. */
export async function openNodeKey({ folder, onRecovered }: NodeKeyOptions): Promise<NodeKey> {
  const loaded = await keyFile(folder).load();
  if (loaded.status === "absent") return makeNodeKey(folder);
  if (loaded.status === "recovered") onRecovered("key");
  const key = parseKey(loaded.payload);
  await exportForEngine(folder, key.pem);
  return key;
}

/** A new key in place of the old one: for a node whose old key may never be believed again. */
export async function makeNodeKey(folder: string): Promise<NodeKey> {
  const key = parseKey(generateNodeKey());
  const file = keyFile(folder);
  await file.erase(); // no generation of the old key stays behind
  await file.save(key.pem);
  await exportForEngine(folder, key.pem);
  return key;
}

function keyFile(folder: string) {
  return durableFile({ path: path.join(folder, "key"), maxBytes: MAX_KEY_BYTES });
}

function parseKey(pem: string): NodeKey {
  try {
    const privateKey = createPrivateKey(pem);
    const probe = Buffer.from("a key that signs what its public half verifies");
    if (!verify("sha256", probe, createPublicKey(privateKey), sign("sha256", probe, privateKey))) {
      throw new TypeError("the halves of the key do not belong together");
    }
    return { pem, privateKey, fingerprint: fingerprintOfKey(privateKey) };
  } catch (cause) {
    throw new AgentError("STATE_CORRUPT", "the node's key is not a usable private key", { cause });
  }
}

async function exportForEngine(folder: string, pem: string): Promise<void> {
  const target = path.join(folder, "node.key");
  const current = await fs.readFile(target, "utf8").catch(() => undefined);
  if (current !== pem) await replaceFile(fs, target, pem, ENGINE_KEY_MODE);
}
