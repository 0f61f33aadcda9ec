import { createPrivateKey } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fingerprintOfKey } from "@saf/protocol";
import { makeNodeKey, openNodeKey } from "./node-key.ts";

let folder: string;
let recovered: string[];
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-key-"));
  recovered = [];
});
afterEach(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});
const open = () => openNodeKey({ folder, onRecovered: (name) => recovered.push(name) });
const at = (name: string): string => path.join(folder, name);

describe("openNodeKey", () => {
  it("makes a key once and keeps it", async () => {
    const first = await open();
    expect((await open()).fingerprint).toBe(first.fingerprint);
    expect(first.privateKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  });

  it("gives the engine the same key, readable by the group only", async () => {
    const key = await open();
    const exported = await fs.readFile(at("node.key"));
    expect(fingerprintOfKey(createPrivateKey(exported))).toBe(key.fingerprint);
    expect((await fs.stat(at("node.key"))).mode & 0o777).toBe(0o640);
    expect((await fs.stat(at("key"))).mode & 0o777).toBe(0o600);
  });

  it("puts a damaged or missing engine copy right at the next start", async () => {
    const key = await open();
    await fs.writeFile(at("node.key"), "rubbish");
    await open();
    expect(await fs.readFile(at("node.key"), "utf8")).toBe(key.pem);
    await fs.rm(at("node.key"));
    await open();
    expect(await fs.readFile(at("node.key"), "utf8")).toBe(key.pem);
  });

  it("survives damage of one copy and says so", async () => {
    const key = await open();
    await fs.truncate(at("key"), 20);
    expect((await open()).fingerprint).toBe(key.fingerprint);
    expect(recovered).toEqual(["key"]);
  });

  it("does not silently become another node when both copies are damaged", async () => {
    await open();
    await fs.truncate(at("key"), 20);
    await fs.truncate(at("key.previous"), 20);
    await expect(open()).rejects.toMatchObject({ code: "STATE_CORRUPT" });
  });
});

describe("makeNodeKey", () => {
  it("replaces the key and leaves nothing of the old one", async () => {
    const old = await open();
    const renewed = await makeNodeKey(folder);
    expect(renewed.fingerprint).not.toBe(old.fingerprint);
    for (const name of await fs.readdir(folder)) {
      expect(await fs.readFile(at(name), "utf8")).not.toContain(old.pem);
    }
  });
});
