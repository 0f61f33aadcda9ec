/** What install and uninstall must not touch. As root, below a folder of its own. */
import {
  mkdirSync,
  mkdtempSync,
  existsSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  statSync,
  chownSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostSystem, ROOT } from "./host-system.ts";
import { install, type InstallOptions } from "./install.ts";
import { uninstall } from "./uninstall.ts";

const MODE = { owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, mode: 0o644 };
let scratch: string;
let image: string;
let host: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "fabric-host-"));
  [image, host] = [join(scratch, "image"), join(scratch, "host")];
  for (const folder of [image, host]) mkdirSync(folder);
});
afterEach(() => rmSync(scratch, { recursive: true }));

describe("below another root", () => {
  it("goes by no link to the files of this host", async () => {
    writeFileSync(join(host, "resolv.conf"), "nameserver 192.0.2.1\n");
    mkdirSync(join(image, "etc"));
    symlinkSync(host, join(image, "etc/fabric"));
    symlinkSync(join(host, "resolv.conf"), join(image, "etc/resolv.conf"));
    symlinkSync(join(host, "to-come"), join(image, "etc/passwd"));
    const system = hostSystem(image, false);
    const refused = expect.objectContaining({ code: "OUTSIDE_ROOT" });
    await expect(system.file("/etc/fabric/engine.json", "{}", MODE)).rejects.toEqual(refused);
    await expect(system.directory("/etc/fabric/more", MODE)).rejects.toEqual(refused);
    await expect(system.link("/etc/fabric/link", "/x")).rejects.toEqual(refused);
    await expect(system.remove("/etc/fabric/resolv.conf")).rejects.toEqual(refused);
    await expect(system.own("/etc/resolv.conf", ROOT)).rejects.toEqual(refused);
    await expect(system.read("/etc/resolv.conf")).rejects.toEqual(refused);
    await expect(system.read("/etc/passwd")).rejects.toEqual(refused);
    expect(existsSync(join(host, "resolv.conf"))).toBe(true);
    expect(system.changes).toEqual([]);
  });

  it("follows links that stay inside, and removes a link itself", async () => {
    mkdirSync(join(image, "usr/lib"), { recursive: true });
    symlinkSync("usr/lib", join(image, "lib"));
    symlinkSync(host, join(image, "out"));
    const system = hostSystem(image, false);
    expect(await system.file("/lib/deep/x", "text", MODE)).toBe(true);
    expect(existsSync(join(image, "usr/lib/deep/x"))).toBe(true);
    await system.remove("/out");
    expect([existsSync(join(image, "out")), existsSync(host)]).toEqual([false, true]);
  });
});

it("takes nothing from a node of Kubernetes, whose agent's pod keeps its state in the same folder", async () => {
  const key = join(image, "var/lib/fabric/agent/identity/key");
  mkdirSync(join(key, ".."), { recursive: true });
  writeFileSync(key, "key");
  const { changes } = await uninstall(
    { programs: "/opt/fabric", keepState: false, dryRun: false, root: image },
    () => 0,
  );
  expect(changes).toEqual([]);
  expect(existsSync(key)).toBe(true);
});

describe("programs that root would run", () => {
  const options = (programs: string): InstallOptions => ({
    nodeName: "rack-7",
    token: undefined,
    server: undefined,
    roles: [],
    advertise: [],
    listenPort: 7443,
    names: "off",
    programs,
    reconfigure: false,
    start: false,
    dryRun: true,
    root: image,
  });

  it("are root's", async () => {
    const programs = join(image, "home/me/fabric");
    mkdirSync(join(programs, "bin"), { recursive: true });
    for (const name of ["fabric-engine", "fabric-agent"]) writeFileSync(join(programs, "bin", name), "");
    const asked = options("/home/me/fabric");
    for (const path of ["bin/fabric-engine", "bin", ""]) {
      const uid = statSync(join(programs, path)).uid;
      chownSync(join(programs, path), 65532, 65532);
      await expect(install(asked)).rejects.toMatchObject({ code: "PROGRAM_UNSAFE" });
      chownSync(join(programs, path), uid, uid);
    }
    expect((await install(asked)).dryRun).toBe(true);
  });

  it.each(["/opt/my fabric", "/opt/%h/fabric", "/opt/fabric\nExecStartPre=/bin/sh", '/opt/"fabric'])(
    "have a path that means itself in a unit: not %j",
    async (programs) => {
      await expect(install(options(programs))).rejects.toMatchObject({ code: "USAGE" });
    },
  );
});
