/** A provider's name server on port 53 of the given address: knows www.provider.example and that nothing else is. */
import { bindSockets, serveNames } from "../names/name-server.ts";
import { createZone } from "../names/zone.ts";

const address = process.argv[2] ?? "127.0.0.1";
const www = { name: "www.provider", addresses: { ipv4: "192.0.2.80", ipv6: "2001:db8::80" } };
const zone = createZone({ origin: "example", server: "ns", serial: 1, pools: [], hosts: [www] });
serveNames({
  sockets: await bindSockets(address, 53),
  knowledge: () => ({ zone: { ...zone, knows: () => true }, forward: null }),
  elapsedMs: () => performance.now(),
});
