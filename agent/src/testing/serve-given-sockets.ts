/** A name server on the sockets that this process was started with; says where it listens. */
import { givenSockets } from "../names/given-sockets.ts";
import { adoptSockets, serveNames } from "../names/name-server.ts";
import { createZone } from "../names/zone.ts";

const zone = createZone({ origin: "home.fabric.internal", server: "given", serial: 1, pools: [], hosts: [] });
const sockets = await adoptSockets(givenSockets(process.env, process.pid));
const server = serveNames({
  sockets,
  knowledge: () => ({ zone, forward: null }),
  elapsedMs: () => performance.now(),
});
console.log(`${server.address}:${server.port}`);
