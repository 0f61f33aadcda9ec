/**
 * A door from a host of the lab to a service on this machine's loopback, which the host's namespace cannot reach: the
 * operator's way to the API server. The host sees the same address and port, so that kubeconfigs need no change.
 *
 *   operator ──► 127.0.0.1:PORT (control's namespace) ── this process ──► 127.0.0.1:PORT (machine)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type Server, type Socket, connect } from "node:net";
import { join } from "node:path";
import { LabError } from "./errors.ts";
import { namespaceCommand } from "./namespaces.ts";

export interface Door {
  /** Closes the listening socket and all connections. */
  close(): void;
}

export async function openDoor(namespace: string, port: number): Promise<Door> {
  const listener = await listenIn(namespace, port);
  const sockets = new Set<Socket>();
  listener.on("connection", (inside: Socket) => {
    const outside = connect(port, "127.0.0.1");
    for (const [socket, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy()); // as on a wire: each side sees the other's end
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  return {
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
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
