/**
 * One host with the real programs on it: they start with the rights that they are meant to have, and no more.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { repositoryRoot } from "../bootstrap/artifacts.ts";
import { type Lab, createLab } from "./lab.ts";
import { addAgent, addEngine, agentUser, programPaths } from "./programs.ts";
import type { SupervisedProcess } from "./supervisor.ts";
import type { Topology } from "./topology.ts";

const oneHost: Topology = {
  networks: { internet: { gateways: ["203.0.113.1/24"] } },
  routers: {},
  hosts: { alone: { network: "internet", address: "203.0.113.2/24", gateway: "203.0.113.1" } },
};
/** CAP_NET_ADMIN is bit 12, CAP_SYS_NICE bit 23 (capability.h). */
const netAdminAndSysNice = ((1n << 12n) | (1n << 23n)).toString(16).padStart(16, "0");
const none = "0".repeat(16);

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`it did not happen: ${what}`);
    await setTimeout(10);
  }
}

/** The fields of /proc/<pid>/status, once the program itself runs and not the words that led to it. */
async function statusOf(process: SupervisedProcess, program: string): Promise<Map<string, string>> {
  const running = (): string => basename(readlinkSync(`/proc/${process.pid}/exe`));
  await until(`${process.name} runs`, () => running() === program);
  return new Map(
    readFileSync(`/proc/${process.pid}/status`, "utf8")
      .split("\n")
      .map((line) => line.split(":\t") as [string, string]),
  );
}

describe("the programs of a host", () => {
  const dir = mkdtempSync(join(tmpdir(), "lab-test-"));
  const user = agentUser(0);
  let lab: Lab;
  let engine: SupervisedProcess;
  let agent: SupervisedProcess;
  beforeAll(async () => {
    chmodSync(dir, 0o755); // the agent's account has to get through
    lab = await createLab(oneHost, { dir });
    engine = addEngine(lab, "alone", { serves: "agent", user });
    agent = addAgent(lab, "alone", { user });
  });
  afterAll(async () => {
    await lab?.destroy();
    rmSync(dir, { recursive: true, force: true });
  });

  it("leaves the engine two capabilities, and the group that may read the node's key", async () => {
    const status = await statusOf(engine, "fabric-engine");
    expect(status.get("Uid")).toBe("0\t0\t0\t0");
    expect(status.get("Gid")).toBe([user.gid, user.gid, user.gid, user.gid].join("\t"));
    expect(status.get("NoNewPrivs")).toBe("1");
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) expect(status.get(set)).toBe(netAdminAndSysNice);
  });

  it("leaves the agent none, and no other account than its own", async () => {
    const status = await statusOf(agent, "node");
    expect(status.get("Uid")).toBe([user.uid, user.uid, user.uid, user.uid].join("\t"));
    expect(status.get("Groups")?.trim()).toBe("");
    expect(status.get("NoNewPrivs")).toBe("1");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(status.get(set)).toBe(none);
  });

  it("lets the engine know an agent in another process namespace, as in a pod", async () => {
    const { engineSocket } = programPaths(lab.host("alone"), "agent");
    const client = join(repositoryRoot, "engine/client/index.ts");
    const script = `const { connectEngine } = await import(${JSON.stringify(client)});
      const engine = await connectEngine(${JSON.stringify(engineSocket)});
      engine.close();`;
    await until("the engine listens", () => existsSync(engineSocket));
    const node = [process.execPath, "--input-type=module", "--eval", script];
    await lab.host("alone").exec(["unshare", "--pid", "--fork", ...node]);
  });

  it("lets the agent read and not write its own and the engine's configuration", async () => {
    const { directory } = lab.host("alone");
    const asAgent = (...words: string[]) =>
      lab
        .host("alone")
        .exec(["setpriv", "--reuid", `${user.uid}`, "--regid", `${user.gid}`, "--clear-groups", ...words]);
    for (const file of ["engine.json", "agent.json"]) {
      await asAgent("test", "-r", join(directory, file));
      await expect(asAgent("test", "-w", join(directory, file))).rejects.toMatchObject({
        code: "COMMAND_FAILED",
      });
      await expect(asAgent("mv", join(directory, file), "/dev/null")).rejects.toThrow(/Permission denied/);
    }
  });

  it("serves the local interface of the agent, and comes back after kill -9", async () => {
    const { apiSocket, engineSocket } = programPaths(lab.host("alone"), "agent");
    const state = async (): Promise<string> => {
      const get = ["curl", "-s", "--unix-socket", apiSocket, "http://agent/v1/status"];
      return (await lab.host("alone").exec(get)).stdout;
    };
    await until("the agent listens", () => existsSync(apiSocket));
    expect(await state()).toContain('"unenrolled"');
    const before = [engine.pid, agent.pid];
    await Promise.all([lab.supervisor.killHard(engine.name), lab.supervisor.killHard(agent.name)]);
    rmSync(apiSocket);
    rmSync(engineSocket);
    await until("both are back", () => existsSync(apiSocket) && existsSync(engineSocket));
    expect(await state()).toContain('"unenrolled"');
    expect([engine.pid, agent.pid]).not.toEqual(before);
  });
});
