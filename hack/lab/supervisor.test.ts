import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { createSupervisor } from "./supervisor.ts";

const dir = mkdtempSync(join(tmpdir(), "supervisor-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error("it did not happen");
    await setTimeout(5);
  }
}

describe("the supervisor", () => {
  const supervisor = createSupervisor();
  afterEach(() => supervisor.stopAll(100));
  let count = 0;
  const add = (...command: string[]) => {
    const name = `process-${(count += 1)}`;
    return supervisor.add({ name, command, logFile: join(dir, `${name}.log`) });
  };

  it("restarts within 100 ms what is killed, and counts it", async () => {
    const process = add("sleep", "1000");
    const before = process.pid;
    await supervisor.killHard(process.name);
    const killedMs = performance.now();
    expect(process.pid).toBeUndefined();
    await until(() => process.pid !== undefined);
    expect(performance.now() - killedMs).toBeLessThan(150);
    expect(process.pid).not.toBe(before);
    expect(process).toMatchObject({ restarts: 1, exits: [{ code: null, signal: "SIGKILL" }] });
  });

  it("leaves down what is killed to stay down, until it is started", async () => {
    const process = add("sleep", "1000");
    await supervisor.killHard(process.name, { stayDown: true });
    await setTimeout(200);
    expect(process.pid).toBeUndefined();
    supervisor.start(process.name);
    expect(process.pid).toBeDefined();
    expect(process.restarts).toBe(0);
    expect(() => supervisor.start(process.name)).toThrow(
      expect.objectContaining({ code: "ALREADY_RUNNING" }),
    );
  });

  it("keeps the log of all lives in one file", async () => {
    const process = add("sh", "-c", "echo one life; echo its end >&2");
    await until(() => process.restarts >= 1 && process.exits.length >= 2);
    await supervisor.stop(process.name);
    expect(readFileSync(process.logFile, "utf8")).toMatch(/^(one life\nits end\n){2,}$/);
  });

  it("slows down when a process keeps ending at once", async () => {
    const process = add("false");
    await until(() => process.exits.length === 5);
    const [first, , , , fifth] = process.exits.map(({ at }) => at.getTime());
    expect(fifth! - first!).toBeGreaterThan(75 * (1 + 2 + 4 + 8) - 20);
  });

  it("stops what ignores SIGTERM when the grace is over", async () => {
    const process = add("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done");
    await until(() => readFileSync(process.logFile, "utf8") === "up\n");
    await supervisor.stop(process.name, 50);
    expect(process.exits).toMatchObject([{ signal: "SIGKILL" }]);
  });

  it("knows its processes by name, once each", () => {
    const process = add("sleep", "1000");
    expect(supervisor.get(process.name)).toBe(process);
    expect(() => supervisor.get("nobody")).toThrow(expect.objectContaining({ code: "UNKNOWN_PROCESS" }));
    const again = { name: process.name, command: ["true"], logFile: "/dev/null" };
    expect(() => supervisor.add(again)).toThrow(expect.objectContaining({ code: "ALREADY_RUNNING" }));
  });
});
