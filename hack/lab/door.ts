/**
 * A door from a host of the lab to a service on this machine's loopback, which the host's namespace cannot reach: the
 * operator's way to the API server. The host sees the same address and port, so that kubeconfigs need no change.
 *
 *   operator ──► 127.0.0.1:PORT (control's namespace) ── this process ──► 127.0.0.1:PORT (machine)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, type Server, createServer } from "node:net";
import { join } from "node:path";
import { LabError } from "./errors.ts";
import { namespaceCommand } from "./namespaces.ts";
import { passConnections } from "./pass-connections.ts";

export interface Door {
  /** Closes the listening socket and all connections. */
  close(): void;
}

export async function openDoor(namespace: string, port: number): Promise<Door> {
  const listener = await listenIn(namespace, port);
  return { close: passConnections(listener, port) };
}

/**
 * A door the other way: from this machine's loopback to a service on the host's loopback, for a person's kubectl.
 *
 *   kubectl ──► 127.0.0.1:ENTRANCE (machine) ── entrance.ts in the host's namespace ──► 127.0.0.1:PORT (host)
 */
export interface Entrance {
  /** On this machine's loopback. */
  readonly port: number;
  close(): Promise<void>;
}

export async function openEntrance(namespace: string, port: number): Promise<Entrance> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const entrance = (listener.address() as AddressInfo).port;
  const script = join(import.meta.dirname, "entrance.ts");
  const [file, ...args] = namespaceCommand(namespace, [process.execPath, script, String(port)]);
  const child = spawn(file!, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const ended = once(child, "exit");
  child.send("listening", listener);
  const first = await Promise.race([once(child, "message"), ended.then(() => undefined)]);
  listener.close();
  if (first === undefined) throw new LabError("DOOR_FAILED", `no entrance to port ${port}`);
  child.disconnect();
  return {
    port: entrance,
    close: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function listenIn(namespace: string, port: number): Promise<Server> {
  const script = join(import.meta.dirname, "door-listener.ts");
  const [file, ...args] = namespaceCommand(namespace, [process.execPath, script, String(port)]);
  const child = spawn(file!, args, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
  let listener: Server | undefined;
  child.once("message", (_message, server) => {
    listener = server as Server;
    child.disconnect();
  });
  await once(child, "exit");
  if (listener !== undefined) return listener;
  if (!child.stderr!.readableEnded) await once(child.stderr!, "end");
  throw new LabError("DOOR_FAILED", `no listener on port ${port}: ${said}`);
}
