import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { durableFile, type DurableFile } from "./durable-file.ts";
import type { FileSystem } from "./replace-file.ts";

const MAX_BYTES = 4096;
let folder: string;
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-durable-"));
});
afterEach(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});

function record(name = "record", files: FileSystem = fs): DurableFile {
  return durableFile({ path: path.join(folder, name), maxBytes: MAX_BYTES, files });
}

async function contentAt(name: string): Promise<Buffer> {
  return fs.readFile(path.join(folder, name));
}

/** A file system that does `operations` calls and then fails every one, as a kill in the middle of a save would. */
function dyingAfter(operations: number, code: string): FileSystem {
  let left = operations;
  const step = (): void => {
    if (left-- <= 0) throw Object.assign(new Error(code), { code });
  };
  const guarded =
    <Args extends unknown[], R>(call: (...args: Args) => Promise<R>) =>
    async (...args: Args): Promise<R> => {
      step();
      return call(...args);
    };
  const open = async (...args: Parameters<typeof fs.open>): Promise<fs.FileHandle> => {
    step();
    const handle = await fs.open(...args);
    const write = handle.writeFile.bind(handle);
    handle.writeFile = async (data, options) => {
      if (left-- <= 0) {
        await write((data as Buffer).subarray(0, 7), options); // the part that fitted
        throw Object.assign(new Error(code), { code });
      }
      await write(data, options);
    };
    const sync = handle.sync.bind(handle);
    handle.sync = guarded(sync);
    return handle;
  };
  return { open, rename: guarded(fs.rename), link: guarded(fs.link), unlink: guarded(fs.unlink) };
}

describe("durableFile", () => {
  it("gives back what was saved, over any sequence of saves", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme", maxLength: 100 }), { minLength: 1, maxLength: 4 }),
        async (values) => {
          const file = record("sequence");
          for (const value of values) await file.save(value);
          expect(await record("sequence").load()).toEqual({ status: "intact", payload: values.at(-1) });
        },
      ),
      { numRuns: 25 },
    );
  });

  it("is absent before the first save and after being erased", async () => {
    const file = record();
    expect(await file.load()).toEqual({ status: "absent" });
    await file.save("secret");
    await file.erase();
    expect(await file.load()).toEqual({ status: "absent" });
    expect(await fs.readdir(folder)).toEqual([]);
  });

  it("recovers the previous generation from a flipped bit anywhere, and says so", async () => {
    const file = record();
    await file.save("old");
    await file.save("new");
    const pristine = await contentAt("record");
    for (let bit = 0; bit < pristine.length * 8; bit += 5) {
      const flipped = Buffer.from(pristine);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      await fs.writeFile(path.join(folder, "record"), flipped);
      expect(await file.load()).toEqual({ status: "recovered", payload: "old" });
      expect(await file.load()).toEqual({ status: "intact", payload: "old" }); // it healed itself
    }
  });

  it("recovers the previous generation from any truncation", async () => {
    const file = record();
    await file.save("old");
    await file.save("new");
    const pristine = await contentAt("record");
    for (let length = 0; length < pristine.length; length += 1) {
      await fs.writeFile(path.join(folder, "record"), pristine.subarray(0, length));
      expect(await file.load()).toEqual({ status: "recovered", payload: "old" });
    }
  });

  it("recovers even a record that was saved only once", async () => {
    const file = record();
    await file.save("only");
    await fs.truncate(path.join(folder, "record"), 3);
    expect(await file.load()).toEqual({ status: "recovered", payload: "only" });
  });

  it("never overwrites the intact generation with a damaged one", async () => {
    const file = record();
    await file.save("old");
    await file.save("new");
    await fs.writeFile(path.join(folder, "record"), "rubbish");
    await file.save("newest");
    await fs.writeFile(path.join(folder, "record"), "rubbish");
    expect(await file.load()).toEqual({ status: "recovered", payload: "old" });
  });

  it("reports corruption when no generation is intact", async () => {
    const file = record();
    await file.save("value");
    await fs.writeFile(path.join(folder, "record"), "rubbish");
    await fs.writeFile(path.join(folder, "record.previous"), "rubbish");
    await expect(file.load()).rejects.toMatchObject({ code: "STATE_CORRUPT" });
  });

  it("bounds what it writes and what it reads", async () => {
    const file = record();
    await file.save("value");
    await expect(file.save("x".repeat(MAX_BYTES))).rejects.toMatchObject({ code: "STATE_TOO_LARGE" });
    expect(await file.load()).toEqual({ status: "intact", payload: "value" });
    await fs.appendFile(path.join(folder, "record"), Buffer.alloc(10 * MAX_BYTES));
    expect(await file.load()).toEqual({ status: "recovered", payload: "value" });
  });

  it("holds the old value or the new one after dying at any step of a save", async () => {
    for (let steps = 0; ; steps += 1) {
      const name = `dies-${steps}`;
      await record(name).save("old");
      const outcome = await record(name, dyingAfter(steps, "EIO"))
        .save("new")
        .then(
          () => "saved",
          () => "died",
        );
      const loaded = await record(name).load();
      expect(loaded).toEqual({ status: "intact", payload: expect.stringMatching(/^(old|new)$/) });
      if (outcome === "saved") {
        expect(loaded).toMatchObject({ payload: "new" });
        expect(steps).toBeGreaterThan(8); // the loop did fail somewhere before
        return;
      }
    }
  });

  it("saves one at a time, the last caller last", async () => {
    const file = record();
    await Promise.all(["a", "b", "c", "d"].map((value) => file.save(value)));
    expect(await file.load()).toEqual({ status: "intact", payload: "d" });
  });

  it("keeps its mode whatever the umask", async () => {
    const before = process.umask(0o777);
    try {
      await durableFile({ path: path.join(folder, "shared"), maxBytes: MAX_BYTES, mode: 0o640 }).save("key");
    } finally {
      process.umask(before);
    }
    expect((await fs.stat(path.join(folder, "shared"))).mode & 0o777).toBe(0o640);
  });
});

describe("durableFile on a full disk", () => {
  let disk: string;
  beforeEach(async () => {
    disk = path.join(folder, "disk");
    await fs.mkdir(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
  });
  afterEach(() => {
    execFileSync("umount", [disk]);
  });

  it("says so with a code and loses nothing", async () => {
    const file = durableFile({ path: path.join(disk, "record"), maxBytes: 40_000 });
    await file.save("a".repeat(8000));
    await fs.writeFile(path.join(disk, "filler"), Buffer.alloc(36 * 1024));
    await expect(file.save("b".repeat(30_000))).rejects.toMatchObject({ code: "STATE_DISK_FULL" });
    expect(await file.load()).toEqual({ status: "intact", payload: "a".repeat(8000) });
    await fs.rm(path.join(disk, "filler"));
    await file.save("b".repeat(30_000));
    expect(await file.load()).toEqual({ status: "intact", payload: "b".repeat(30_000) });
  });
});
