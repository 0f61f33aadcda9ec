/**
 * Runs for a moment in a host's namespace: opens a listening socket on the host's loopback and hands it to its
 * parent. A socket stays in the namespace in which it was opened, whoever holds it.
 */
import { createServer } from "node:net";

const port = Number(process.argv[2]);
const server = createServer();
server.listen(port, "127.0.0.1", () => process.send!("listening", server));
// While this process lives it shares the socket's connections; so the parent ends it before anybody knows the door.
process.once("disconnect", () => process.exit());
