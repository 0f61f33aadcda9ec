/**
 * Builds a topology out of network namespaces on this machine, and takes it away again.
 *
 *   await using lab = await createLab(fabricTopology);
 *   await lab.host("usa-1").exec(["ping", "-c1", lab.host("test-1").address]);
 *
 * Every network, router and host is a namespace `saf-<lab id>-<name>`; the machine's own namespace gets nothing.
 */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listCgroups, removeCgroup } from "./cluster/cgroups.ts";
import { type Door, openDoor } from "./door.ts";
import { LabError } from "./errors.ts";
import { type Host, createHost } from "./host.ts";
import {
  addBridge,
  addCable,
  addNamespace,
  enableForwarding,
  enableNat,
  listNamespaces,
  removeNamespace,
  setDefaultRoute,
} from "./namespaces.ts";
import { startReaper } from "./reaper.ts";
import { createScratchDirectory } from "./scratch-directory.ts";
import { type Supervisor, createSupervisor } from "./supervisor.ts";
import { sweep } from "./sweep.ts";
import { type Topology, bareAddress, checkTopology } from "./topology.ts";

export interface LabOptions {
  /** Where the lab's directory is made, reachable for all accounts; default: the system's temporary directory. */
  readonly dir?: string;
}

export interface Lab extends AsyncDisposable {
  readonly id: string;
  readonly directory: string;
  readonly hosts: ReadonlyMap<string, Host>;
  /** The host of that name; throws UNKNOWN_HOST. */
  host(name: string): Host;
  readonly supervisor: Supervisor;
  /** The namespace of any part of the topology, routers and networks too; for tcpdump and faults. */
  namespaceOf(name: string): string;
  /** Makes a TCP port of this machine's loopback reachable on the host's own loopback. */
  openDoor(host: string, port: number): Promise<Door>;
  /** Ends all processes, removes all namespaces and the directory. May be called twice. */
  destroy(): Promise<void>;
}

export async function createLab(topology: Topology, options: LabOptions = {}): Promise<Lab> {
  checkTopology(topology);
  const parent = options.dir ?? tmpdir();
  await sweep(parent);
  const scratch = createScratchDirectory(parent);
  const reaper = startReaper(parent);
  const supervisor = createSupervisor();
  const doors: Door[] = [];
  const namespaceOf = (name: string): string => `saf-${scratch.id}-${name}`;
  let destroyed: Promise<void> | undefined;

  const takeDown = async (): Promise<void> => {
    for (const door of doors) door.close();
    try {
      await supervisor.stopAll();
    } finally {
      const ours = (await listNamespaces()).filter((name) => name.startsWith(namespaceOf("")));
      await Promise.all(ours.map(removeNamespace));
      await Promise.all(listCgroups((name) => name.startsWith(namespaceOf(""))).map(removeCgroup));
      scratch.remove();
    }
    await reaper.dismiss(); // only now: what failed above is the reaper's when this process ends
  };
  const destroy = (): Promise<void> => (destroyed ??= takeDown());

  try {
    await buildNetwork(topology, namespaceOf);
  } catch (error) {
    await destroy();
    throw error;
  }

  const hosts = new Map(
    Object.entries(topology.hosts).map(([name, { address }]) => [
      name,
      createHost(scratch.path, namespaceOf(name), name, bareAddress(address)),
    ]),
  );
  for (const { directory } of hosts.values()) mkdirSync(directory, { recursive: true });
  for (const folder of ["logs", "code"]) mkdirSync(join(scratch.path, folder));

  const host = (name: string): Host => {
    const found = hosts.get(name);
    if (found === undefined) throw new LabError("UNKNOWN_HOST", `no host ${name} in this lab`);
    return found;
  };
  return {
    id: scratch.id,
    directory: scratch.path,
    hosts,
    host,
    supervisor,
    namespaceOf,
    openDoor: async (name, port) => {
      const door = await openDoor(host(name).namespace, port);
      doors.push(door);
      return door;
    },
    destroy,
    [Symbol.asyncDispose]: destroy,
  };
}

async function buildNetwork(
  { networks, routers, hosts }: Topology,
  namespaceOf: (name: string) => string,
): Promise<void> {
  const plug = async (
    owner: string,
    name: string,
    attachment: { network: string; address: string },
    port: string,
  ) =>
    addCable({
      namespace: namespaceOf(owner),
      interface: name,
      address: attachment.address,
      bridgeNamespace: namespaceOf(attachment.network),
      port,
    });
  for (const [name, { gateways }] of Object.entries(networks)) {
    await addNamespace(namespaceOf(name));
    await addBridge(namespaceOf(name), gateways);
  }
  for (const [name, { inside, outside, gateway }] of Object.entries(routers)) {
    await addNamespace(namespaceOf(name));
    await plug(name, "lan", inside, name);
    await plug(name, "wan", outside, name);
    await setDefaultRoute(namespaceOf(name), gateway);
    await enableForwarding(namespaceOf(name));
    await enableNat(namespaceOf(name), "lan", "wan");
  }
  for (const [name, host] of Object.entries(hosts)) {
    await addNamespace(namespaceOf(name));
    await plug(name, "eth0", host, name);
    await setDefaultRoute(namespaceOf(name), host.gateway);
  }
}
