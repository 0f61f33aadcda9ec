import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { randomUUID } from "node:crypto";
import {
  createTestAuthority,
  newSigningKey,
  type SnapshotOverrides,
  type TestAuthority,
} from "../testing/test-authority.ts";
import { trustedDocuments, type TrustedDocuments } from "./trusted-documents.ts";

const nodeId = randomUUID();
const nowMs = 1_800_000_000_000;
const now = nowMs / 1000;
const subject = { trustDomain: "demo.example", nodeId };

let authority: TestAuthority;
let folder: string;
let recovered: string[];
let unusable: unknown[];
let documents: TrustedDocuments;
beforeAll(async () => {
  authority = await createTestAuthority("demo.example", nowMs);
});
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-documents-"));
  recovered = [];
  unusable = [];
  documents = open();
  await documents.begin(await authority.trustRoot(), subject, now);
});
afterEach(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});

function open(): TrustedDocuments {
  return trustedDocuments({
    folder,
    onRecovered: (name) => recovered.push(name),
    onUnusable: (error) => unusable.push(error),
  });
}
/** What the next start of the agent finds. */
async function reopened(at = now): Promise<TrustedDocuments> {
  const next = open();
  await next.load(subject, at);
  return next;
}
async function accept(overrides: SnapshotOverrides = {}): Promise<void> {
  await documents.accept(await authority.snapshot(nodeId, overrides), now);
  await documents.flush();
}

describe("trustedDocuments", () => {
  it("believes a good snapshot, and again after a restart", async () => {
    await accept({ epoch: 4 });
    expect(documents.snapshot).toMatchObject({ term: 1, epoch: 4, body: { nodeName: "home-a" } });
    expect((await reopened()).snapshot).toEqual(documents.snapshot);
    expect(documents.accepted).toBe(1);
  });

  it.each<[string, (good: string) => Promise<string> | string]>([
    ["BAD_SIGNATURE", (good) => `${good.slice(0, -6)}AAAAAA`],
    ["BAD_SIGNATURE", () => authority.snapshot(nodeId, { signingKey: newSigningKey("signing-1") })],
    ["UNKNOWN_KEY", () => authority.snapshot(nodeId, { signingKey: newSigningKey("signing-2") })],
    ["WRONG_CLUSTER", () => authority.snapshot(nodeId, { cluster: "other.example" })],
    ["OUT_OF_SCOPE", () => authority.snapshot(randomUUID())],
    ["INVALID_BODY", () => authority.snapshot(nodeId, { term: 6, body: { nodeId: randomUUID() } })],
    ["INVALID_BODY", () => authority.snapshot(nodeId, { term: 6, body: { mtu: 70_000 } })],
    ["LOWER_TERM", () => authority.snapshot(nodeId, { term: 4, epoch: 99 })],
    ["LOWER_EPOCH", () => authority.snapshot(nodeId, { term: 5, epoch: 9 })],
    ["LOWER_EPOCH", () => authority.snapshot(nodeId, { term: 5, epoch: 10, issuedAt: now - 1 })],
    ["EXPIRED", () => authority.snapshot(nodeId, { term: 5, epoch: 11, expiresAt: now - 301 })],
    ["NOT_YET_VALID", () => authority.snapshot(nodeId, { term: 5, epoch: 11, issuedAt: now + 301 })],
    ["WRONG_TYPE", () => authority.trustRoot({ term: 6 })],
    ["MALFORMED", () => "rubbish"],
    ["TOO_LARGE", () => "x".repeat(1024 * 1024 + 1)],
    [
      "UNKNOWN_KEY",
      async () => {
        const foreign = await createTestAuthority("demo.example", nowMs);
        const trustRoot = (await foreign.trustRoot({ term: 9 })).replace(/^[^.]+/, headerNaming("signing-9"));
        return authority.snapshot(nodeId, { term: 5, epoch: 11, body: { trustRoot } });
      },
    ],
  ])("refuses %s, counts it, and keeps what it had", async (code, forge) => {
    await accept({ term: 5, epoch: 10 });
    const before = documents.snapshot;
    const forged = await forge(await authority.snapshot(nodeId, { term: 5, epoch: 11 }));
    await expect(documents.accept(forged, now)).rejects.toMatchObject({ code });
    expect(documents.refused).toEqual({ [code]: 1 });
    expect(documents.snapshot).toBe(before);
    expect((await reopened()).snapshot).toEqual(before);
  });

  it("takes the same snapshot twice, a re-issue, and a higher term with a lower epoch", async () => {
    await accept({ term: 1, epoch: 5 });
    await accept({ term: 1, epoch: 5 });
    await accept({ term: 1, epoch: 5, issuedAt: now + 1 });
    await accept({ term: 2, epoch: 1 });
    expect(documents.seen).toMatchObject({ term: 2, epoch: 1 });
    expect(documents.refused).toEqual({});
  });

  it("never goes back, not even across a restart that lost the snapshot", async () => {
    await accept({ term: 3, epoch: 8 });
    for (const name of ["node-snapshot.jws", "node-snapshot.jws.previous"]) {
      await fs.truncate(path.join(folder, name), 100);
    }
    const next = await reopened();
    expect(next.snapshot).toBeNull();
    expect(unusable).toMatchObject([{ code: "STATE_CORRUPT" }]);
    const older = await authority.snapshot(nodeId, { term: 3, epoch: 7 });
    await expect(next.accept(older, now)).rejects.toMatchObject({ code: "LOWER_EPOCH" });
    await next.accept(await authority.snapshot(nodeId, { term: 3, epoch: 8 }), now);
    expect(next.snapshot).not.toBeNull();
  });

  it("recovers the last known good snapshot from a damaged file, and still refuses what it had outgrown", async () => {
    await accept({ epoch: 1 });
    await accept({ epoch: 2 });
    await fs.truncate(path.join(folder, "node-snapshot.jws"), 50);
    const next = await reopened();
    expect(next.snapshot).toMatchObject({ epoch: 1 });
    expect(recovered).toEqual(["node-snapshot.jws"]);
    const again = await authority.snapshot(nodeId, { epoch: 1 });
    await expect(next.accept(again, now)).rejects.toMatchObject({ code: "LOWER_EPOCH" });
  });

  it("lives by what is on disk on a host whose clock woke up in the past", async () => {
    await accept({ epoch: 6 });
    expect((await reopened(now - 86_400)).snapshot).toMatchObject({ epoch: 6 });
  });

  it("remembers an expired snapshot's order without living by it", async () => {
    await accept({ epoch: 6, expiresAt: now + 60 });
    const next = await reopened(now + 400);
    expect(next.snapshot).toBeNull();
    expect(next.seen).toMatchObject({ epoch: 6 });
    expect(unusable).toMatchObject([{ code: "EXPIRED" }]);
  });

  it("lives by a snapshot that the disk refuses, and writes it once the disk takes it", async () => {
    await accept({ epoch: 1 });
    const blocker = path.join(folder, "node-snapshot.jws.next");
    await fs.mkdir(blocker); // opening the temporary file for writing now fails
    await documents.accept(await authority.snapshot(nodeId, { epoch: 2 }), now);
    await expect(documents.flush()).rejects.toMatchObject({ code: "STATE_WRITE_FAILED" });
    expect(documents.snapshot).toMatchObject({ epoch: 2 });
    expect(documents.unsaved).toBe(true);
    expect((await reopened()).snapshot).toMatchObject({ epoch: 1 });
    await fs.rmdir(blocker);
    await documents.flush();
    expect(documents.unsaved).toBe(false);
    expect((await reopened()).snapshot).toMatchObject({ epoch: 2 });
  });

  it("follows a newer trust root that travels in a snapshot, and leaves an older one alone", async () => {
    const body = { trustRoot: await authority.trustRoot({ epoch: 3 }) };
    await accept({ epoch: 3, body });
    expect(documents.trustRoot).toMatchObject({ epoch: 3 });
    expect((await reopened()).trustRoot).toMatchObject({ epoch: 3 });
    await accept({ epoch: 4, body: { trustRoot: await authority.trustRoot({ epoch: 2 }) } });
    expect(documents.trustRoot).toMatchObject({ epoch: 3 });
  });

  it("cannot live without its trust root", async () => {
    await fs.rm(path.join(folder, "trust-root.jws"));
    await fs.rm(path.join(folder, "trust-root.jws.previous"));
    await expect(reopened()).rejects.toMatchObject({ code: "STATE_CORRUPT" });
  });

  it("leaves nothing behind when erased", async () => {
    await accept();
    await documents.erase();
    expect(await fs.readdir(folder)).toEqual([]);
  });
});

function headerNaming(kid: string): string {
  return Buffer.from(JSON.stringify({ alg: "EdDSA", kid, typ: "saf-trust-root" })).toString("base64url");
}
