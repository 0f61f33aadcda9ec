/** bootstrap.sh on machines that lack something: one line says what, and how to get it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const dir = mkdtempSync(join(tmpdir(), "bootstrap-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** What the script itself uses of every Debian machine. */
const basics = [
  "cut",
  "dirname",
  "flock",
  "grep",
  "head",
  "id",
  "mkdir",
  "paste",
  "sed",
  "sh",
  "sort",
  "tr",
  "uname",
];
const present: Readonly<Record<string, string>> = {
  node: '[ "$1" = --version ] && echo v20.1.0', // and finds node_modules not current
  npm: "exit 1", // so nothing gets further than the installation
  go: "echo go1.26.8",
  rustc: "echo rustc 1.95.0",
  cargo: "",
  ...Object.fromEntries(["ip", "nft", "ping", "tcpdump", "setpriv", "cc", "patch"].map((tool) => [tool, ""])),
};

/** Runs the script on a machine that has exactly these programs, each a line of shell. */
function bootstrapWith(programs: Readonly<Record<string, string | undefined>>): {
  code: number | null;
  lines: string[];
} {
  const bin = mkdtempSync(join(dir, "bin-"));
  for (const tool of basics) if (!(tool in programs)) symlinkSync(which(tool), join(bin, tool));
  for (const [tool, script] of Object.entries(programs)) {
    if (script === undefined) continue;
    // Never through a link to the machine's own program.
    writeFileSync(join(bin, tool), `#!/bin/sh\n${script}\n`, { flag: "wx", mode: 0o755 });
  }
  const env = { PATH: bin, HOME: dir, XDG_CACHE_HOME: join(dir, "cache") };
  const script = join(import.meta.dirname, "bootstrap.sh");
  const { status, stdout, stderr } = spawnSync("sh", [script], { env, encoding: "utf8" });
  return { code: status, lines: `${stdout}${stderr}`.trimEnd().split("\n") };
}

function which(tool: string): string {
  return spawnSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).stdout.trim();
}

describe("bootstrap on a machine", () => {
  it.each([
    ["without Node", { node: undefined }, "Node.js >= 20"],
    ["with an old Node", { node: "echo v18.19.0" }, "Node.js >= 20"],
    ["without npm", { npm: undefined }, "npm"],
    ["without Go", { go: undefined }, "go.dev/dl"],
    ["with an old Go", { go: "echo go1.19.8" }, "Go >= 1.26"],
    ["without Rust", { rustc: undefined }, "rustup"],
    ["with an old Rust", { rustc: "echo rustc 1.63.0" }, "Rust >= 1.85"],
    ["without cargo", { cargo: undefined }, "cargo"],
    ["without ping and apt-get", { ping: undefined }, "iputils-ping"],
    ["whose apt-get fails", { nft: undefined, "apt-get": "exit 100" }, "apt-get install -y nftables"],
    ["for an ordinary user", { id: "echo 1000" }, "sudo"],
  ])("%s says so in one line", (_what, change, wanted) => {
    const { code, lines } = bootstrapWith({ ...present, ...change });
    expect(code).not.toBe(0);
    expect(lines.at(-1)).toMatch(/^bootstrap: .* is missing or unfit\. Install it with: /);
    expect(lines.at(-1)).toContain(wanted);
    expect(lines.filter((line) => !line.startsWith("bootstrap: installing the Debian"))).toHaveLength(1);
  });

  it("with apt-get gets the Debian packages that it lacks", () => {
    const log = join(dir, "apt.log");
    const { lines } = bootstrapWith({
      ...present,
      ip: undefined,
      tcpdump: undefined,
      "apt-get": `echo "$@" >>${log}`,
    });
    expect(lines[0]).toBe("bootstrap: installing the Debian packages iproute2 tcpdump");
    expect(spawnSync("cat", [log], { encoding: "utf8" }).stdout).toMatch(
      /^update -qq\ninstall .* iproute2 tcpdump\n$/,
    );
  });
});

describe("node_modules", () => {
  const judge = (wanted: Record<string, object>, installed?: Record<string, object>): number | null => {
    const tree = mkdtempSync(join(dir, "tree-"));
    const write = (file: string, packages: object): void =>
      writeFileSync(join(tree, file), JSON.stringify({ packages }));
    write("package-lock.json", { "": {}, ...wanted });
    mkdirSync(join(tree, "node_modules"));
    if (installed) write("node_modules/.package-lock.json", installed);
    return spawnSync(process.execPath, [join(import.meta.dirname, "node-modules-current.mjs")], { cwd: tree })
      .status;
  };
  const a = { "node_modules/a": { version: "1.0.0", integrity: "x" } };

  it.each([
    ["are not current when there are none", a, undefined, 1],
    ["are current when all is there", a, a, 0],
    ["are not current in another version", a, { "node_modules/a": { version: "1.0.1", integrity: "y" } }, 1],
    [
      "are not current with another content",
      a,
      { "node_modules/a": { version: "1.0.0", integrity: "y" } },
      1,
    ],
    ["are not current when something is missing", a, {}, 1],
    ["are not current when something is left over", {}, a, 1],
    [
      "may lack what is for another platform",
      { ...a, "node_modules/b": { version: "1", optional: true } },
      a,
      0,
    ],
  ])("%s", (_what, wanted, installed, code) => {
    expect(judge(wanted, installed)).toBe(code);
  });
});
