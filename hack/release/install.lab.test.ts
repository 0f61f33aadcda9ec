/**
 * A host that becomes a node and ceases to be one: the real package, under a real systemd with the units' real confinement, in a machine
 * made of namespaces.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StatusView } from "@saf/agent";
import { setTimeout as delay } from "node:timers/promises";
import { makeDebianPackage, makeTarball } from "./release.ts";
import { startSystemdMachine, type SystemdMachine } from "./systemd-machine.ts";

const FABRIC = "/opt/fabric/bin/fabric";
const TOKEN = `saf1.rack-7.${"s".repeat(43)}.${"p".repeat(43)}`;
let folder: string;
let machine: SystemdMachine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fabric-install-"));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fabric = (...args: string[]): Promise<string> => machine.exec(FABRIC, ...args);
const failure = async (...args: string[]): Promise<{ code: number; stderr: string }> =>
  fabric(...args).then(
    (stdout) => Promise.reject(new Error(`it worked: ${stdout}`)),
    (error: { code: number; stderr: string }) => error,
  );
const sh = (script: string): Promise<string> => machine.exec("sh", "-c", script);

async function status(): Promise<StatusView> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const view = await fabric("status", "-o", "json").then(
      (text) => JSON.parse(text) as StatusView,
      () => undefined,
    );
    if (view?.engine.connected) return view;
    if (Date.now() > deadline)
      throw new Error(`not in 20 s: ${await sh("journalctl -n 60 --no-pager -o cat")}`);
    await delay(100);
  }
}

/** What a machine writes by itself, and the copies that useradd keeps of the files it changes. */
const NOT_OURS =
  /^(var\/(log|lib\/systemd|lib\/dpkg|cache)\/|etc\/(\.pwd\.lock|(passwd|shadow|group|gshadow|subuid|subgid)-)$)/;
/** Folders and files that this machine has too are only seen through. */
const left = async (before: readonly string[]): Promise<string[]> =>
  (await machine.written()).filter(
    (path) => !before.includes(path) && !NOT_OURS.test(path) && !existsSync(join("/", path)),
  );

describe("a Debian package", () => {
  let before: string[];
  let accounts: string;
  beforeAll(async () => {
    const file = makeDebianPackage(folder);
    machine = await startSystemdMachine();
    before = await machine.written();
    accounts = await sh("cat /etc/passwd /etc/group");
    await machine.exec("mkdir", "-p", "/tmp/package");
    await machine.copy(file, "/tmp/package/fabric.deb");
    await machine.exec("dpkg", "--force-depends", "-i", "/tmp/package/fabric.deb");
  }, 180_000);
  afterAll(() => machine?.stop(), 60_000);

  it("brings programs, and makes nothing run", async () => {
    expect(await machine.exec("fabric", "install", "--help")).toContain("--dry-run");
    expect(await machine.exec("kubectl-fabric", "--help")).toContain("fabric");
    expect(await sh("ls /etc/systemd/system | grep fabric || true")).toBe("");
  });

  it("says what it would do, and does nothing", async () => {
    const told = await fabric("install", "--dry-run", "--node-name", "rack-7");
    expect(told).toContain("/etc/systemd/system/fabric-engine.service");
    expect(told).toContain("nothing was done");
    expect(
      await sh("ls -d /etc/fabric /var/lib/fabric 2>/dev/null || true; getent passwd fabric || true"),
    ).toBe("");
  });

  it("makes the host a node, confined", async () => {
    await fabric("install", "--node-name", "rack-7", "--names", "serve");
    const view = await status();
    expect(view).toMatchObject({ state: "unenrolled", nodeName: "rack-7", engine: { connected: true } });
    expect((await machine.exec("systemctl", "is-active", "fabric-engine", "fabric-agent")).trim()).toBe(
      "active\nactive",
    );
    const [engine, agent] = ["fabric-engine", "fabric-agent"];
    const pidOf = async (unit = ""): Promise<string> =>
      (await machine.exec("systemctl", "show", "-p", "MainPID", "--value", unit)).trim();
    const statusOf = async (unit = ""): Promise<string> =>
      machine.exec("cat", `/proc/${await pidOf(unit)}/status`);
    expect(await statusOf(agent)).toMatch(/CapBnd:\t0{16}/);
    expect(await statusOf(agent)).toMatch(/NoNewPrivs:\t1/);
    expect(await statusOf(agent)).not.toMatch(/^Uid:\t0/m);
    // NET_ADMIN is bit 12, SYS_NICE bit 23.
    expect(await statusOf(engine)).toMatch(/CapEff:\t0{10}801000/);
    expect(await sh("stat -c '%U:%G %a' /var/lib/fabric/agent/identity/node.key /run/fabric-engine")).toMatch(
      /^fabric:fabric 640\nroot:fabric 750\n$/,
    );
    expect(view.engine.notes).toEqual([]);
    // Its port comes from a socket unit: it has no right to take one below 1024.
    expect(view.names.problem).toBeNull();
  }, 60_000);

  it("has units that systemd finds no fault with", async () => {
    const units = ["fabric-engine.service", "fabric-agent.service"];
    await machine.exec("systemd-analyze", "verify", ...units.map((unit) => `/etc/systemd/system/${unit}`));
    for (const [unit, most] of [
      ["fabric-agent.service", 2],
      ["fabric-engine.service", 3.5],
    ] as const) {
      const said = await machine.exec("systemd-analyze", "security", "--no-pager", unit);
      const exposure = Number(/exposure level for \S+: ([0-9.]+)/.exec(said)?.[1]);
      expect(exposure).toBeLessThan(most);
    }
  }, 60_000);

  it("said again changes nothing, and keeps what its owner wrote", async () => {
    const pids = () => machine.exec("systemctl", "show", "-p", "MainPID", "fabric-engine", "fabric-agent");
    const running = await pids();
    await sh("sed -i 's/7443/7444/' /etc/fabric/agent.json");
    const again = JSON.parse(
      await fabric("install", "-o", "json", "--node-name", "other", "--names", "serve"),
    ) as {
      changes: { what: string; change: string }[];
    };
    const written = again.changes.filter(({ what, change }) => what.startsWith("/") && change !== "kept");
    expect(written).toEqual([]);
    expect(await pids()).toBe(running);
    expect(await sh("cat /etc/fabric/agent.json")).toContain("7444");
  }, 60_000);

  it("asks to join by itself when it is given a token", async () => {
    await sh(`printf %s ${TOKEN} > /root/token`);
    const node = ["--reconfigure", "--node-name", "rack-7", "--names", "serve"];
    const asking = ["--server", "https://192.0.2.1:8443", "--token-file", "/root/token"];
    await fabric("install", ...node, ...asking);
    expect(await sh("stat -c '%U %a' /var/lib/fabric/agent/join-token")).toBe("fabric 600\n");
    await status();
    const deadline = Date.now() + 20_000;
    for (;;) {
      const { join: joining, reasonCode } = await status();
      if (joining?.tokenId === "rack-7" && reasonCode === "SERVER_UNREACHABLE") break;
      if (Date.now() > deadline) throw new Error("it does not ask");
      await delay(100);
    }
    await sh("rm /root/token");
  }, 60_000);

  it.each([
    [["install", "--node-name", "Rack 7"], 2, "USAGE"],
    [["install", "--token", TOKEN], 2, "a token needs the --server"],
    [["install", "--server", "https://x:8443", "--token", "saf1.x"], 2, "TOKEN_MALFORMED"],
    [["install", "--server", "http://x"], 2, "https://"],
    [["install", "--listen-port", "0"], 2, "between 1 and 65535"],
    [["install", "--advertise", "example.com:1"], 2, "<ip>:<port>"],
    [["install", "--names", "both"], 2, "Allowed choices"],
    [["install", "--programs", "/nowhere"], 1, "PROGRAM_MISSING"],
  ])("refuses %j", async (args, code, text) => {
    const failed = await failure(...args);
    expect(failed.code).toBe(code);
    expect(failed.stderr).toContain(text);
  });

  it("refuses somebody who is not root, and a host without systemd or tunnels", async () => {
    const as = (...words: string[]) =>
      machine
        .exec("setpriv", "--reuid", "65534", "--clear-groups", ...words)
        .catch((error: { stderr: string }) => error.stderr);
    expect(await as(FABRIC, "install")).toContain("NOT_ROOT");
    expect(await as(FABRIC, "uninstall")).toContain("NOT_ROOT");
    const without = (path: string) =>
      machine
        .exec("unshare", "--mount", "sh", "-c", `mount -t tmpfs t ${path} && exec ${FABRIC} install`)
        .catch((error: { stderr: string }) => error.stderr);
    expect(await without("/run")).toContain("NO_SYSTEMD");
    expect(await without("/dev/net")).toContain("NO_TUN");
  });

  it("goes without a trace but its key when the package is removed, and comes back as the same node", async () => {
    const { fingerprint } = await status();
    // As a killed agent and a killed engine may leave a host.
    await sh("ip tuntap add dev fabric0 mode tun");
    const original = await sh("cat /etc/resolv.conf");
    await sh(
      `printf '# fabric-agent answers here for x\\nnameserver 127.0.0.74\\n#fabric-original#%s\\n#fabric-original#' "$(cat /etc/resolv.conf)" > /etc/resolv.conf && chown fabric /etc/resolv.conf`,
    );
    await machine.exec("dpkg", "-r", "secure-access-fabric");
    expect(
      await sh("ls /etc/systemd/system | grep fabric || true; ip link show dev fabric0 2>/dev/null || true"),
    ).toBe("");
    expect(await sh("cat /etc/resolv.conf; stat -c %U /etc/resolv.conf")).toBe(`${original}root\n`);
    expect(await sh("ls -d /etc/fabric /run/fabric* /opt/fabric 2>/dev/null || true")).toBe("");
    expect(await sh("ps -C fabric-engine,node -o args= || true")).toBe("");
    expect(await sh("stat -c %U /var/lib/fabric/agent/identity/node.key")).toBe("fabric\n");
    await machine.exec("dpkg", "--force-depends", "-i", "/tmp/package/fabric.deb");
    await fabric("install", "--node-name", "rack-7", "--names", "serve");
    expect((await status()).fingerprint).toBe(fingerprint);
  }, 120_000);

  it("leaves nothing at all when it is purged", async () => {
    await machine.exec("dpkg", "--purge", "secure-access-fabric");
    expect(await left(before)).toEqual([]);
    expect(await sh("cat /etc/passwd /etc/group")).toBe(accounts);
    expect(await sh("ls -R /etc/systemd/system | grep fabric || true")).toBe("");
  }, 120_000);
});

describe("a tarball", () => {
  beforeAll(async () => {
    const file = makeTarball(folder);
    machine = await startSystemdMachine();
    await machine.copy(file, "/tmp/fabric.tar.gz");
    await machine.exec("tar", "-C", "/opt", "-xzf", "/tmp/fabric.tar.gz");
  }, 180_000);
  afterAll(() => machine?.stop(), 60_000);

  it("installs, gives its commands, points the host's names, and takes all of it away", async () => {
    const before = (await machine.written()).filter((path) => !path.startsWith("opt/fabric"));
    const accounts = await sh("cat /etc/passwd /etc/group");
    await fabric("install", "--node-name", "rack-7", "--names", "resolv.conf");
    expect(await status()).toMatchObject({ state: "unenrolled" });
    expect(await machine.exec("/usr/local/bin/kubectl-fabric", "status")).toContain("unenrolled");
    expect((await machine.exec("systemctl", "is-active", "fabric-agent.socket")).trim()).toBe("active");
    expect(await sh("stat -c %U /etc/resolv.conf")).toBe("fabric\n");
    expect(await fabric("uninstall", "--dry-run")).toContain("nothing was done");
    expect((await machine.exec("systemctl", "is-active", "fabric-agent")).trim()).toBe("active");
    const gone = JSON.parse(await fabric("uninstall", "-o", "json")) as { changes: { what: string }[] };
    expect(gone.changes.map(({ what }) => what)).toContain("/opt/fabric");
    expect(await left(before)).toEqual([]);
    expect(await sh("cat /etc/passwd /etc/group")).toBe(accounts);
    expect(await sh("cat /etc/resolv.conf; stat -c %U /etc/resolv.conf")).toBe(
      "nameserver 192.0.2.53\nroot\n",
    );
  }, 120_000);
});
