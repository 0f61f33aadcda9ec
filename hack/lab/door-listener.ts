/**
 * Runs for a moment in a host's namespace: opens a listening socket on the host's loopback and hands it to its
 * parent. A socket stays in the namespace in which it was opened, whoever holds it.
 */
import { createServer } from "node:net";

const port = Number(process.argv[2]);
const server = createServer();
server.listen(port, "127.0.0.1", () => {
  // Closed here as soon as the parent has it: two holders of one socket would share its connections between them.
  process.send!("listening", server, () => server.close(() => process.disconnect()));
});
