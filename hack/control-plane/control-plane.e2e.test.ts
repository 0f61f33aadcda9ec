/** A control plane of its own: what it serves, what it survives, and that nothing of it stays. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { artifacts } from "../bootstrap/artifacts.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";

const run = promisify(execFile);

describe("a control plane", () => {
  const dir = mkdtempSync(join(tmpdir(), "control-plane-test-"));
  let controlPlane: ControlPlane;

  const kubectl = async (kubeconfig: string, ...args: string[]): Promise<string> => {
    const { stdout } = await run(artifacts().kubectl, ["--kubeconfig", kubeconfig, ...args]);
    return stdout.trim();
  };

  beforeAll(async () => {
    controlPlane = await startControlPlane({ dir });
  }, 120_000);
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it("keeps what admin creates, and runs the controllers that tests rely on", async () => {
    await kubectl(controlPlane.kubeconfig, "create", "namespace", "one");
    expect(await kubectl(controlPlane.kubeconfig, "get", "namespace", "one", "-o", "name")).toBe(
      "namespace/one",
    );
    await kubectl(
      controlPlane.kubeconfig,
      "wait",
      "-n",
      "one",
      "--for=create",
      "serviceaccount/default",
      "--timeout=20s",
    );
  });

  it("knows alice, who has no rights, by name", async () => {
    const alice = await controlPlane.kubeconfigFor("alice");
    expect(await kubectl(alice, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")).toBe(
      "alice",
    );
    await expect(kubectl(alice, "get", "namespaces")).rejects.toThrow(/forbidden/i);
    await expect(controlPlane.kubeconfigFor("mallory")).rejects.toThrow("no user mallory");
  });

  it("lets a service account in under its own name and namespace", async () => {
    await kubectl(controlPlane.kubeconfig, "create", "serviceaccount", "robot", "-n", "default");
    const robot = await controlPlane.kubeconfigFor({ namespace: "default", serviceAccount: "robot" });
    const name = await kubectl(robot, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}");
    expect(name).toBe("system:serviceaccount:default:robot");
  });

  it("comes back after a crash at the same address with the same data", async () => {
    await kubectl(controlPlane.kubeconfig, "create", "configmap", "kept", "--from-literal=a=b");
    await controlPlane.pause();
    await expect(kubectl(controlPlane.kubeconfig, "get", "configmap", "kept")).rejects.toThrow(/refused/);
    await controlPlane.resume();
    expect(
      await kubectl(controlPlane.kubeconfig, "get", "configmap", "kept", "-o", "jsonpath={.data.a}"),
    ).toBe("b");
  }, 120_000);

  it("leaves no process and no file", async () => {
    const pids = controlPlane.pids();
    expect(pids).toHaveLength(2);
    await controlPlane.stop();
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("says why it could not start, and leaves nothing", async () => {
    await expect(startControlPlane({ dir, binary: "/bin/false" })).rejects.toThrow(
      /ended \(1\) before it was ready/,
    );
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("a control plane whose launcher is killed", () => {
  it("ends with it, and its directory goes with the next start", async () => {
    const dir = mkdtempSync(join(tmpdir(), "control-plane-test-"));
    const module = join(import.meta.dirname, "control-plane.ts");
    const script = `const { startControlPlane } = await import(${JSON.stringify(module)});
      const { pids } = await startControlPlane({ dir: ${JSON.stringify(dir)} });
      console.log(pids().join(" "));
      process.kill(process.pid, "SIGKILL");`;
    const killed = await run(process.execPath, ["--input-type=module", "-e", script]).catch(
      (error: unknown) => error,
    );
    const pids = (killed as { stdout: string }).stdout.trim().split(" ");
    expect(pids).toHaveLength(2);
    for (const pid of pids) await ended(pid);
    expect(readdirSync(dir)).toHaveLength(1);
    await expect(startControlPlane({ dir, binary: "/bin/false" })).rejects.toThrow("before it was ready");
    expect(readdirSync(dir)).toEqual([]);
    rmSync(dir, { recursive: true });
  }, 120_000);

  /** The kernel kills them at once, but not within the killed process's own last call. */
  async function ended(pid: string): Promise<void> {
    const deadlineMs = performance.now() + 5_000;
    while (isRunning(pid)) {
      if (performance.now() > deadlineMs) throw new Error(`process ${pid} outlives its launcher`);
      await setTimeout(10);
    }
  }

  /** A zombie has ended; whether somebody collects it is the business of this machine's first process. */
  function isRunning(pid: string): boolean {
    try {
      return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  }
});
