/** One node of the demo: a host, its agent and its engine, seen through the agent's local API and the `fabric` command. */
import { request } from "node:http";
import { join } from "node:path";
import type { NodeState, PeersView, PeerView, StatusView } from "@saf/agent";
import { bundled } from "../images/bundle.ts";
import type { Lab } from "../lab/lab.ts";
import { addAgent, addEngine, agentUser, ENROLMENT_PORT, programPaths } from "../lab/programs.ts";
import { follow, type RunningCommand } from "./command.ts";
import { until } from "./wait.ts";

const TRANSFER = join(import.meta.dirname, "transfer.ts");

export interface DemoNode {
  readonly name: string;
  readonly address: string;
  readonly apiSocket: string;
  /** Starts engine and agent. */
  boot(): Promise<void>;
  join(tokenFile: string, roles: readonly string[]): Promise<void>;
  status(): Promise<StatusView>;
  /** Those with a session that is ready. */
  peers(): Promise<PeerView[]>;
  /** Resolves to the status when the agent says that state. */
  hasState(state: NodeState, timeoutMs: number): Promise<StatusView>;
  /** Resolves at the first echo; rejects after the timeout. */
  ping(address: string, timeoutMs: number): Promise<void>;
  /** Whether one echo of five comes back within a second. */
  answers(address: string): Promise<boolean>;
  start(program: "transfer", ...args: string[]): RunningCommand;
  killAgent(): Promise<void>;
  killEngine(): Promise<void>;
  /** Stops both and starts them again, as a reboot does. */
  restart(): Promise<void>;
}

export function createDemoNode(lab: Lab, name: string, index: number): DemoNode {
  const host = lab.host(name);
  const user = agentUser(index);
  const { apiSocket } = programPaths(host, "agent");
  const agent = `${name}/agent`;
  const engine = `${name}/engine`;
  const status = (): Promise<StatusView> => get<StatusView>(apiSocket, "/v1/status");
  const hasState = (state: NodeState, timeoutMs: number): Promise<StatusView> =>
    until(
      `${name} is ${state}`,
      async () => {
        const view = await status();
        if (view.state !== state)
          throw new Error(`${name} is ${view.state}: ${view.reason ?? "no reason given"}`);
        return view;
      },
      { timeoutMs },
    );
  return {
    name,
    address: host.address,
    apiSocket,
    boot: async () => {
      addEngine(lab, name, { serves: "agent", user });
      addAgent(lab, name, { user });
      await hasState("unenrolled", 20_000);
    },
    join: async (tokenFile, roles) => {
      const server = `https://${lab.host("control").address}:${ENROLMENT_PORT}`;
      const asked = roles.flatMap((role) => ["--role", role]);
      const args = [
        "--socket",
        apiSocket,
        "join",
        "--server",
        server,
        "--token-file",
        tokenFile,
        ...asked,
        "--no-wait",
      ];
      await host.exec([process.execPath, bundled("fabric"), ...args]);
    },
    status,
    peers: async () =>
      (await get<PeersView>(apiSocket, "/v1/peers")).peers.filter(({ session }) => session === "ready"),
    hasState,
    ping: async (address, timeoutMs) => {
      const command = [
        "ping",
        "-n",
        "-c",
        "1",
        "-i",
        "0.1",
        "-w",
        String(Math.ceil(timeoutMs / 1000)),
        address,
      ];
      await host.exec(command, { timeoutMs: timeoutMs + 1_000 });
    },
    answers: async (address) => {
      const script = 'ping -n -c 5 -i 0.2 -W 1 "$0" 2>&1 | grep -c "bytes from" || true';
      return Number((await host.exec(["sh", "-c", script, address])).stdout) > 0;
    },
    start: (program, ...args) =>
      follow(
        `${program} on ${name}`,
        host.spawn([process.execPath, TRANSFER, ...args], { stdio: ["ignore", "pipe", "pipe"] }),
      ),
    killAgent: () => lab.supervisor.killHard(agent),
    killEngine: () => lab.supervisor.killHard(engine),
    restart: async () => {
      await lab.supervisor.stop(agent);
      await lab.supervisor.stop(engine);
      lab.supervisor.start(engine);
      lab.supervisor.start(agent);
    },
  };
}

function get<T>(socketPath: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, timeout: 2_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`${path}: ${response.statusCode} ${text}`));
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${path}: no answer`)));
    outgoing.on("error", reject);
    outgoing.end();
  });
}
