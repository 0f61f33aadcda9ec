/**
 * The common ground of all contenders: two namespaces joined by one wire, and a third that holds the fabric's control plane
 * behind a bridge of its own, over which the two hosts cannot reach each other.
 */
import { createLab, type Lab } from "../lab/lab.ts";
import type { Host } from "../lab/host.ts";
import { runCommand } from "../lab/namespaces.ts";
import type { Topology } from "../lab/topology.ts";
import { raiseSocketBuffers } from "./socket-buffers.ts";
import { createWires, type Wires } from "./wires.ts";

export interface Testbed extends AsyncDisposable {
  readonly lab: Lab;
  readonly left: Host;
  readonly right: Host;
  readonly control: Host;
  readonly wires: Wires;
}

const CONTROL_NETWORK = "control-net";
const topology: Topology = {
  networks: { [CONTROL_NETWORK]: { gateways: [] } },
  routers: {},
  hosts: {
    control: { network: CONTROL_NETWORK, address: "192.0.2.5/24", gateway: "192.0.2.1" },
    left: { network: CONTROL_NETWORK, address: "192.0.2.11/24", gateway: "192.0.2.1" },
    right: { network: CONTROL_NETWORK, address: "192.0.2.12/24", gateway: "192.0.2.1" },
  },
};
/** The interface of a host that leads to the control plane. */
export const CONTROL_INTERFACE = "eth0";

export async function createTestbed(delayLine: string): Promise<Testbed> {
  await using building = new AsyncDisposableStack();
  building.use(raiseSocketBuffers());
  const lab = building.use(await createLab(topology));
  for (const port of ["left", "right"]) {
    const bridge = lab.namespaceOf(CONTROL_NETWORK);
    await runCommand(["ip", "-n", bridge, "link", "set", port, "type", "bridge_slave", "isolated", "on"]);
  }
  const [left, right, control] = [lab.host("left"), lab.host("right"), lab.host("control")];
  const wires = createWires(left, right, delayLine);
  const all = building.move();
  return { lab, left, right, control, wires, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
