/**
 * The wires between the two hosts, and what goes wrong on them.
 *
 *   left ── path1 ── right      198.51.100.1 — 198.51.100.2     one veth of MTU 1500, or two TAPs with a delay between
 *   left ── path2 ── right      203.0.113.1  — 203.0.113.2      only where a measure needs a second way
 *
 * Loss and black holes are rules at the receiving end of the wire, both ways, without any link event.
 */
import type { Host } from "../lab/host.ts";
import { runCommand } from "../lab/namespaces.ts";
import { until } from "../demo/wait.ts";

export type PathName = "path1" | "path2";
export type Side = "left" | "right";

export function otherSide(side: Side): Side {
  return side === "left" ? "right" : "left";
}

export const PATH_ADDRESSES: Readonly<Record<PathName, Readonly<Record<Side, string>>>> = {
  path1: { left: "198.51.100.1", right: "198.51.100.2" },
  path2: { left: "203.0.113.1", right: "203.0.113.2" },
};
export const PATH_MTU = 1500;

export interface Trouble {
  /** Of each packet, in each direction. */
  readonly lossPercent?: number;
  /** Nothing passes. */
  readonly silent?: boolean;
}

export interface Wires {
  /** Lays the wire, in place of the one that is there. Without delay it is a veth. */
  lay(path: PathName, oneWayDelayMs: number): Promise<void>;
  remove(path: PathName): Promise<void>;
  /** Replaces the trouble that was there; `{}` for none. */
  trouble(path: PathName, trouble: Trouble): Promise<void>;
  /** Gives one side another address on that wire, in one go. */
  readdress(path: PathName, side: Side, from: string, to: string): Promise<void>;
  /** Bytes that this end has received so far. */
  receivedBytes(path: PathName, side: Side): Promise<number>;
}

/** As many as a wire of 40 ms carries at 10 Gbit/s in packets of 1500 bytes. */
const DELAYED_QUEUE_PACKETS = 40_000;
/** The kernel's default: a veth takes superframes whole. */
const WHOLE_SUPERFRAMES = 65_535;

export function createWires(left: Host, right: Host, delayLine: string): Wires {
  const hosts: Readonly<Record<Side, Host>> = { left, right };
  const sides = Object.entries(hosts) as [Side, Host][];
  const ip = (host: Host, ...args: string[]) => runCommand(["ip", "-n", host.namespace, ...args]);

  const remove = async (path: PathName): Promise<void> => {
    const { stdout } = await ip(left, "-o", "link", "show");
    if (!stdout.includes(`: ${path}`)) return;
    await ip(left, "link", "delete", path);
    // The far end of a veth goes with it; that of a delay line when the program has noticed.
    await until(
      `${path} is gone`,
      async () => ((await ip(right, "-o", "link", "show")).stdout.includes(`: ${path}`) ? undefined : true),
      { timeoutMs: 5_000, everyMs: 10 },
    );
  };

  const layVeth = (path: PathName) =>
    ip(left, "link", "add", path, "type", "veth", "peer", "name", path, "netns", right.namespace);

  const layDelayed = async (path: PathName, delayMs: number): Promise<void> => {
    const farEnd = `${path}-far`;
    const line = left.spawn([delayLine, path, farEnd, String(delayMs * 1000)], { stdio: "ignore" });
    await until(`the delay line of ${path}`, async () => (await ip(left, "link", "show", farEnd), true), {
      timeoutMs: 5_000,
      everyMs: 10,
    });
    line.unref();
    await ip(left, "link", "set", farEnd, "netns", right.namespace, "name", path);
    for (const [, host] of sides)
      await ip(host, "link", "set", path, "txqueuelen", String(DELAYED_QUEUE_PACKETS));
  };

  return {
    lay: async (path, oneWayDelayMs) => {
      await remove(path);
      await (oneWayDelayMs > 0 ? layDelayed(path, oneWayDelayMs) : layVeth(path));
      for (const [side, host] of sides) {
        await ip(host, "address", "add", `${PATH_ADDRESSES[path][side]}/24`, "dev", path);
        await ip(host, "link", "set", path, "mtu", String(PATH_MTU), "up");
      }
    },
    remove,
    trouble: async (path, trouble) => {
      // One decision for each packet on the wire, not for a superframe of 44 of them.
      const segments = trouble.lossPercent ? 1 : WHOLE_SUPERFRAMES;
      const both = (work: (host: Host) => Promise<unknown>) =>
        Promise.all(sides.map(([, host]) => work(host)));
      await both((host) => ip(host, "link", "set", path, "gso_max_segs", String(segments)));
      await both((host) => host.exec(["nft", "-f", "-"], { input: rules(path, trouble) }));
    },
    readdress: async (path, side, from, to) => {
      // In this order: deleting a subnet's first address takes the others of the subnet with it.
      const change = `address delete ${from}/24 dev ${path}\naddress add ${to}/24 dev ${path}\n`;
      await runCommand(["ip", "-n", hosts[side].namespace, "-batch", "-"], { input: change });
    },
    receivedBytes: async (path, side) => {
      const { stdout } = await ip(hosts[side], "-j", "-s", "link", "show", path);
      const [link] = JSON.parse(stdout) as { stats64: { rx: { bytes: number } } }[];
      return link?.stats64.rx.bytes ?? 0;
    },
  };
}

/** Rules of nft for one end of a path; they replace those that are there. */
export function rules(path: PathName, { lossPercent = 0, silent = false }: Trouble): string {
  const table = `netdev bench_${path}`;
  const drops = [
    ...(silent ? ["drop"] : []),
    ...(lossPercent > 0
      ? [`meta protocol { ip, ip6 } numgen random mod 100000 < ${Math.round(lossPercent * 1000)} drop`]
      : []),
  ];
  return [
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    `  chain receive {`,
    `    type filter hook ingress device "${path}" priority 0; policy accept;`,
    ...drops.map((drop) => `    ${drop}`),
    `  }`,
    `}`,
    ``,
  ].join("\n");
}
