/** Listens on the bridge between the hosts for anything that is not the fabric's. */
import { spawn, type ChildProcess } from "node:child_process";
import { namespaceCommand } from "../lab/namespaces.ts";
import { ENROLMENT_PORT, FABRIC_PORT } from "../lab/programs.ts";
import { follow } from "./command.ts";

const FABRIC = `udp port ${FABRIC_PORT} or tcp port ${ENROLMENT_PORT}`;
/** How a machine finds its neighbours: ARP, IPv6 neighbour discovery, and the group membership that goes with them (IGMP, MLD). */
const NEIGHBOURS =
  "arp or igmp or (ip6 and (ip6[6] == 58 or ip6[6] == 0) and (dst net ff02::/16 or src net fe80::/10))";

export interface Wire {
  /** Ends the capture. `fabric`: packets of the fabric. `other`: a line for each that is neither those nor neighbour discovery. */
  stop(): Promise<{ readonly fabric: number; readonly other: readonly string[] }>;
}

export async function listenOn(namespace: string): Promise<Wire> {
  const capture = (name: string, args: readonly string[], filter: string): ReturnType<typeof follow> =>
    follow(name, tcpdump(namespace, [...args, filter]));
  // Headers of the fabric's packets are counted in the kernel's filter; only a sample is printed.
  const fabric = capture("tcpdump of the fabric", ["-c", "1000", "-q"], FABRIC);
  const other = capture("tcpdump of the rest", ["-q"], `not (${FABRIC}) and not (${NEIGHBOURS})`);
  await Promise.all([fabric, other].map((running) => running.says("listening on", 5_000)));
  const packets = (output: string): string[] =>
    output.split("\n").filter((line) => /^\d+:\d+:\d+\.\d+ /.test(line));
  return {
    stop: async () => ({
      fabric: packets(await fabric.interrupt()).length,
      other: packets(await other.interrupt()),
    }),
  };
}

function tcpdump(namespace: string, args: readonly string[]): ChildProcess {
  const command = ["tcpdump", "-n", "-l", "--immediate-mode", "-i", "bridge", ...args];
  const [file = "", ...rest] = namespaceCommand(namespace, command);
  return spawn(file, rest, { stdio: ["ignore", "pipe", "pipe"] });
}
