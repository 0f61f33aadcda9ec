/** Passes each connection of a listener on to a port of this process's loopback; returns what ends all of it. */
import { type Server, type Socket, connect } from "node:net";

export function passConnections(listener: Server, port: number): () => void {
  const sockets = new Set<Socket>();
  listener.on("connection", (near: Socket) => {
    const far = connect(port, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
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
  return () => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
}
