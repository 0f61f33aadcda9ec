/**
 * Runs in a host's namespace: takes over a listening socket of the machine's loopback and passes its connections on to a
 * port of the host's own. A socket stays in the namespace in which it was opened, whoever holds it.
 */
import type { Server } from "node:net";
import { passConnections } from "./pass-connections.ts";

const port = Number(process.argv[2]);
process.once("message", (_message, listener) => {
  passConnections(listener as Server, port);
  process.send!("open");
});
