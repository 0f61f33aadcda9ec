import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { originalIn, pointed, pointResolvConf, restoreResolvConf, serversIn } from "./resolv-conf.ts";

const to = { server: "127.0.0.74", zone: "home.fabric.internal", hostDomain: "" };
const EXAMPLE =
  "# by dhcp\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch corp.example\noptions edns0 ndots:2\n";

describe("the file while the agent answers", () => {
  it("names our server alone, searches our zone last, and keeps options", () => {
    const lines = pointed(EXAMPLE, to).split("\n");
    expect(lines.filter((line) => !line.startsWith("#"))).toEqual([
      "nameserver 127.0.0.74",
      "search corp.example home.fabric.internal",
      "options edns0 ndots:2",
    ]);
  });

  it("searches the host's own domain where the file names none", () => {
    expect(pointed("nameserver 10.0.0.2\n", { ...to, hostDomain: "corp.example" })).toContain(
      "\nsearch corp.example home.fabric.internal\n",
    );
  });

  it("gives the original back byte for byte, and never holds itself", () => {
    const line = fc.oneof(
      fc.constantFrom(
        "nameserver 1.1.1.1",
        "search a b",
        "domain x",
        "options rotate",
        "#fabric-original#x",
        "# fabric-agent answers here",
        "",
        "\r",
      ),
      fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
    );
    fc.assert(
      fc.property(
        fc.array(line).map((lines) => lines.join("\n")),
        fc.domain(),
        (original, zone) => {
          const file = pointed(original, { ...to, zone });
          expect(originalIn(file)).toBe(original);
          expect(pointed(originalIn(file) ?? "", { ...to, zone })).toBe(file);
        },
      ),
    );
  });

  it("tells whom the host asked before", () => {
    expect(serversIn(EXAMPLE)).toEqual(["10.0.0.2", "fe80::1%eth0"]);
    expect(serversIn("nameserver one\n;nameserver 1.1.1.1\n")).toEqual(["127.0.0.1"]);
    expect(serversIn("nameserver 1.1.1.1\n".repeat(5))).toHaveLength(3);
  });
});

describe("on disk", () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-resolv-"));
    file = path.join(folder, "resolv.conf");
    await fs.writeFile(file, EXAMPLE, { mode: 0o640 });
  });
  afterEach(() => fs.rm(folder, { recursive: true }));
  const text = () => fs.readFile(file, "latin1");

  it("is replaced as a whole, keeps its mode, and comes back as it was", async () => {
    const { ino } = await fs.stat(file);
    expect(await pointResolvConf(file, to)).toBe(EXAMPLE);
    expect(await text()).toBe(pointed(EXAMPLE, to));
    const after = await fs.stat(file);
    expect(after.ino).not.toBe(ino);
    expect(after.mode & 0o777).toBe(0o640);
    expect(await pointResolvConf(file, { ...to, zone: "other.internal" })).toBe(EXAMPLE);
    await restoreResolvConf(file);
    expect(await text()).toBe(EXAMPLE);
    await restoreResolvConf(file);
    expect(await text()).toBe(EXAMPLE);
    expect(await fs.readdir(folder)).toEqual(["resolv.conf"]);
  });

  it("is not written when it is right already", async () => {
    await pointResolvConf(file, to);
    const { ino, mtimeMs } = await fs.stat(file);
    await pointResolvConf(file, to);
    expect(await fs.stat(file)).toMatchObject({ ino, mtimeMs });
  });

  it("is written in its place where it is mounted, as in a container", async () => {
    const mounted = path.join(folder, "mounted");
    await fs.writeFile(mounted, "");
    execFileSync("mount", ["--bind", file, mounted]);
    try {
      await pointResolvConf(mounted, to);
      expect(await text()).toBe(pointed(EXAMPLE, to));
      await restoreResolvConf(mounted);
      expect(await text()).toBe(EXAMPLE);
    } finally {
      execFileSync("umount", [mounted]);
    }
  });

  it("is the original again when somebody else wrote it", async () => {
    await pointResolvConf(file, to);
    await fs.writeFile(file, "nameserver 9.9.9.9\n");
    await restoreResolvConf(file);
    expect(await text()).toBe("nameserver 9.9.9.9\n");
    expect(await pointResolvConf(file, to)).toBe("nameserver 9.9.9.9\n");
  });

  it("stays the link that it is", async () => {
    const link = path.join(folder, "link");
    await fs.symlink(file, link);
    await pointResolvConf(link, to);
    expect(await fs.readlink(link)).toBe(file);
    expect(await text()).toBe(pointed(EXAMPLE, to));
  });

  it.each<[string, () => Promise<unknown>]>([
    ["is not there", () => fs.rm(file)],
    ["is too long", () => fs.writeFile(file, "x\n".repeat(40_000))],
    ["would become too long", () => fs.writeFile(file, "\n".repeat(10_000))],
    ["is a folder", () => fs.rm(file).then(() => fs.mkdir(file))],
  ])("is left alone when it %s", async (_, change) => {
    await change();
    await expect(pointResolvConf(file, to)).rejects.toMatchObject({ code: "RESOLV_CONF" });
  });
});
