/**
 * The fabric's topology, built and taken away:
 *
 *   home-a, home-b ── home-lan ── home-router (NAT) ── internet ── usa-1, test-1, … in two routed subnets
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { type Lab, createLab } from "./lab.ts";
import { fabricTopology } from "./topology.ts";

const dir = mkdtempSync(join(tmpdir(), "lab-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

const text = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: "utf8" });
const namespacesWith = (id: string): string[] =>
  text("ip", "netns", "list")
    .split("\n")
    .filter((line) => line.startsWith(`saf-${id}`));
const machineInterfaces = (): string => text("ip", "-o", "link", "show").replaceAll(/ state .*/g, "");

describe("the fabric's topology", () => {
  const interfacesBefore = machineInterfaces();
  let lab: Lab;
  const ping = (from: string, address: string) => lab.host(from).exec(["ping", "-c1", "-W1", address]);
  const address = (host: string): string => lab.host(host).address;

  beforeAll(async () => {
    lab = await createLab(fabricTopology, { dir });
  });
  afterAll(() => lab.destroy());

  it("connects hosts of the internet, across its subnets", async () => {
    await ping("usa-1", address("test-1"));
    await ping("ifcm-1", address("control"));
  });

  it("hides a home behind its router's one address", async () => {
    const capture = lab
      .host("usa-1")
      .spawn(["tcpdump", "-nnlc1", "-ieth0", "icmp"], { stdio: ["ignore", "pipe", "pipe"] });
    const [started] = (await once(capture.stderr!, "data")) as [Buffer];
    expect(started.toString()).toContain("tcpdump");
    const [[line]] = await Promise.all([
      once(createInterface(capture.stdout!), "line"),
      pingUntilSeen(capture),
    ]);
    expect(line).toContain(`203.0.113.10 > ${address("usa-1")}`);
  });

  /** tcpdump says that it listens a moment before it does. */
  async function pingUntilSeen(capture: { readonly exitCode: number | null }): Promise<void> {
    for (let tries = 0; tries < 20 && capture.exitCode === null; tries += 1)
      await ping("home-a", address("usa-1"));
  }

  it("connects the hosts of one home directly", async () => {
    const { stdout } = await ping("home-a", address("home-b"));
    expect(stdout).toContain("ttl=64"); // no router between them
  });

  it("lets nobody in from outside, not even one who knows the way", async () => {
    await expect(ping("usa-1", address("home-a"))).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    await lab.host("test-1").exec(["ip", "route", "add", "192.168.77.0/24", "via", "203.0.113.10"]);
    await expect(ping("test-1", address("home-a"))).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });

  it("opens a door to a service of this machine for one host only", async () => {
    const service = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(service, "listening");
    const { port } = service.address() as AddressInfo;
    const fetchFrom = (host: string) =>
      lab
        .host(host)
        .exec([
          process.execPath,
          "-e",
          `fetch("http://127.0.0.1:${port}").then((r) => r.text()).then(console.log)`,
        ]);
    const door = await lab.openDoor("control", port);
    expect((await fetchFrom("control")).stdout).toBe("hello\n");
    await expect(fetchFrom("usa-1")).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    await expect(lab.openDoor("control", port)).rejects.toMatchObject({ code: "DOOR_FAILED" });
    door.close();
    await expect(fetchFrom("control")).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    service.close();
  });

  it("leaves nothing, whatever runs in it", async () => {
    lab.host("usa-1").spawn(["setsid", "sh", "-c", "trap '' TERM HUP; setsid sleep 1000 & exec sleep 1000"]);
    expect(namespacesWith(lab.id)).toHaveLength(10);
    await lab.destroy();
    expect(namespacesWith(lab.id)).toEqual([]);
    expect(readdirSync(dir)).toEqual([]);
    expect(machineInterfaces()).toBe(interfacesBefore);
    expect(text("sh", "-c", `pgrep -fc '[s]af-${lab.id}' || true`).trim()).toBe("0");
  });
});

describe("a lab that cannot be built", () => {
  it("takes away the half that was", async () => {
    const unfit = { network: "internet", address: "999.0.0.1/24", gateway: "203.0.113.1" };
    const broken = { ...fabricTopology, hosts: { ...fabricTopology.hosts, unfit } };
    await expect(createLab(broken, { dir })).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    expect(namespacesWith(`${process.pid}x`)).toEqual([]);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("a lab whose process is killed", () => {
  it("is swept by its reaper, with all that runs in it", async () => {
    const script = `
      const { createLab } = await import(${JSON.stringify(join(import.meta.dirname, "lab.ts"))});
      const { fabricTopology } = await import(${JSON.stringify(join(import.meta.dirname, "topology.ts"))});
      const lab = await createLab(fabricTopology, { dir: ${JSON.stringify(dir)} });
      lab.host("usa-1").spawn(["setsid", "--fork", "sleep", "1000"], { stdio: "ignore" }).on("exit", () => {
        console.log(lab.id);
      });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [id] = (await once(createInterface(child.stdout), "line")) as [string];
    expect(namespacesWith(id)).toHaveLength(10);
    child.kill("SIGKILL");
    await once(child, "exit");
    const deadlineMs = performance.now() + 15_000;
    while (existsSync(join(dir, `saf-${id}`)) && performance.now() < deadlineMs) await setTimeout(50);
    expect(namespacesWith(id)).toEqual([]);
    expect(readdirSync(dir)).toEqual([]);
  });
});
