/** A host as a machine of its own: what it changes stays in it, and it is gone when its power is cut. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../demo/wait.ts";
import { createLab, type Lab } from "../lab.ts";
import type { Topology } from "../topology.ts";
import { listCgroups } from "./cgroups.ts";
import { bootMachine, type Machine } from "./machine.ts";

const oneHost: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24"] } },
  routers: {},
  hosts: { alone: { network: "internet", address: "203.0.113.2/24", gateway: "203.0.113.1" } },
};

describe("a machine", () => {
  const dir = mkdtempSync(join(tmpdir(), "machine-test-"));
  let lab: Lab;
  let machine: Machine;
  beforeAll(async () => {
    lab = await createLab(oneHost, { dir });
    machine = await bootMachine(lab, "alone");
  });
  afterAll(async () => {
    await lab?.destroy();
    rmSync(dir, { recursive: true, force: true });
  });
  const shell = async (script: string): Promise<string> =>
    (await machine.run(["sh", "-ec", script])).stdout.trim();

  it("has its own name, address and processes", async () => {
    const here = hostname();
    expect(await shell("hostname")).toBe("alone");
    expect(hostname()).toBe(here);
    expect(await shell("ip -4 -brief address show eth0")).toContain("203.0.113.2/24");
    expect(await shell("cat /proc/1/cmdline | tr '\\0' ' '")).toContain("first-process");
    expect(
      await shell(`[ -d /proc/${process.pid} ] && cat /proc/${process.pid}/cmdline || echo no`),
    ).not.toContain("jest");
  });

  it.each(["etc", "opt", "usr/local", "var/lib", "var/log"])(
    "keeps what it writes to /%s",
    async (folder) => {
      const name = `machine-test-${process.pid}`;
      await shell(`echo kept >/${folder}/${name}`);
      expect(existsSync(`/${folder}/${name}`)).toBe(false);
      expect(readFileSync(join(machine.disk, folder, name), "utf8")).toBe("kept\n");
    },
  );

  it("sees the kernel's settings as a kubelet wants them, and leaves them as they are", async () => {
    const setting = "/proc/sys/kernel/panic";
    const before = readFileSync(setting, "utf8");
    expect(await shell(`cat ${setting}; echo 77 >${setting}; cat ${setting}`)).toBe("10\n77");
    expect(readFileSync(setting, "utf8")).toBe(before);
  });

  it("has control groups of its own, in which its programs are", async () => {
    expect(await shell("cat /proc/self/cgroup | grep -v '^0::/$' | cut -d: -f3 | sort -u")).toMatch(
      /^(\/|\/machine)$/,
    );
    const group = listCgroups((name) => name === lab.namespaceOf("alone"))[0]!;
    await shell(
      `for f in /sys/fs/cgroup/*/ /sys/fs/cgroup; do [ ! -f $f/cgroup.procs ] || mkdir $f/inner; done`,
    );
    expect(existsSync(join(group, "inner"))).toBe(true);
  });

  it("asks a program on it to end, and lets it", async () => {
    machine.add("polite", [
      "sh",
      "-c",
      'trap "echo bye >/etc/said; exit" TERM; echo >/etc/ready; while :; do sleep 0.05; done',
    ]);
    await until("it runs", async () => existsSync(join(machine.disk, "etc/ready")) || undefined, {
      timeoutMs: 5_000,
    });
    await lab.supervisor.stop("alone/polite");
    expect(readFileSync(join(machine.disk, "etc/said"), "utf8")).toBe("bye\n");
  });

  it("loses everything that runs on it when its power is cut, and its groups with the lab", async () => {
    machine.add("program", ["sleep", "1000"]);
    const { pid } = lab.supervisor.get("alone/program");
    await machine.cutPower();
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await lab.destroy();
    expect(listCgroups((name) => name === lab.namespaceOf("alone"))).toEqual([]);
  });
});
