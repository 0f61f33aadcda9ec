import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOnce, contentHash } from "./build-cache.ts";

const dir = mkdtempSync(join(tmpdir(), "build-cache-test-"));
afterAll(() => rmSync(dir, { recursive: true }));
let count = 0;
const emptyFolder = (): string => {
  const folder = join(dir, String((count += 1)));
  mkdirSync(folder);
  return folder;
};

describe("the hash of a build", () => {
  const root = emptyFolder();
  const file = (name: string, content: string): string => {
    writeFileSync(join(root, name), content);
    return join(root, name);
  };
  const a = file("a", "one");
  const b = file("b", "two");
  const before = contentHash(root, [a, b], ["compiler 1"]);

  it("depends on content, names and words, and not on order", () => {
    expect(contentHash(root, [b, a], ["compiler 1"])).toBe(before);
    expect(contentHash(root, [a, b], ["compiler 2"])).not.toBe(before);
    expect(contentHash(root, [a], ["compiler 1"])).not.toBe(before);
    file("b", "tow");
    expect(contentHash(root, [a, b], ["compiler 1"])).not.toBe(before);
  });

  it("keeps the ends of files and words apart", () => {
    expect(contentHash(root, [], ["ab", "c"])).not.toBe(contentHash(root, [], ["a", "bc"]));
  });
});

describe("a build", () => {
  it("happens once for each key", () => {
    const cache = emptyFolder();
    let builds = 0;
    const build = (target: string): void => writeFileSync(join(target, "result"), String((builds += 1)));
    expect(buildOnce(cache, "k1", build)).toEqual({ directory: join(cache, "k1"), built: true });
    expect(buildOnce(cache, "k1", build)).toEqual({ directory: join(cache, "k1"), built: false });
    expect(buildOnce(cache, "k2", build).built).toBe(true);
    expect(builds).toBe(2);
  });

  it("that fails leaves no result, and the next one starts from nothing", () => {
    const cache = emptyFolder();
    const failing = (target: string): void => {
      writeFileSync(join(target, "half"), "");
      throw new Error("no space");
    };
    expect(() => buildOnce(cache, "k", failing)).toThrow("no space");
    expect(existsSync(join(cache, "k"))).toBe(false);
    buildOnce(cache, "k", (target) => expect(readdirSync(target)).toEqual([]));
    expect(readdirSync(cache)).toEqual(["k"]);
  });

  it("keeps the four versions that were used last", () => {
    const cache = emptyFolder();
    for (const [age, key] of ["oldest", "old", "middle", "new"].entries()) {
      buildOnce(cache, key, () => {});
      utimesSync(join(cache, key), age, age);
    }
    buildOnce(cache, "oldest", () => {}); // used again
    buildOnce(cache, "newest", () => {});
    expect(readdirSync(cache).toSorted()).toEqual(["middle", "new", "newest", "oldest"]);
  });
});
