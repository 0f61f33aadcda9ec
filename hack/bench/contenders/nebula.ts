/** Nebula with its default settings, its two ends told where the other one is. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../../lab/namespaces.ts";
import type { PeerBinary } from "../builds/peers.ts";
import type { Contender } from "../contender.ts";
import type { Slot } from "../device.ts";
import { startPair } from "../pair.ts";
import type { Testbed } from "../testbed.ts";
import { startTunnelProcess } from "../tunnel-process.ts";
import { otherSide, PATH_ADDRESSES, type Side } from "../wires.ts";

const MTU = 1400;

export function nebula(binary: PeerBinary, certTool: PeerBinary, place: Slot): Contender {
  return {
    name: "nebula",
    title: "Nebula",
    kind: "peer",
    version: binary.version,
    start: async (bed) => {
      const directory = await makeCertificates(bed, certTool, place);
      return startPair(bed, {
        place,
        mtu: MTU,
        ipv4Only: true,
        start: (side) => {
          const config = join(directory, `${side}.yaml`);
          writeFileSync(config, JSON.stringify(configOf(directory, side, place), null, 2)); // YAML is a superset
          return startTunnelProcess(bed, bed[side], "nebula", [binary.path, "-config", config]);
        },
      });
    },
  };
}

/** Certificates are made anew for each run; resolves to their directory. */
async function makeCertificates(bed: Testbed, certTool: PeerBinary, place: Slot): Promise<string> {
  const directory = join(bed.lab.directory, `nebula-${performance.now().toFixed(0)}`);
  mkdirSync(directory, { mode: 0o700 });
  const file = (name: string): string => join(directory, name);
  const run = (...args: string[]) => runCommand([certTool.path, ...args]);
  await run("ca", "-name", "bench", "-out-crt", file("ca.crt"), "-out-key", file("ca.key"));
  for (const side of ["left", "right"] as const) {
    const made = ["-out-crt", file(`${side}.crt`), "-out-key", file(`${side}.key`)];
    const authority = ["-ca-crt", file("ca.crt"), "-ca-key", file("ca.key")];
    await run("sign", "-name", side, "-networks", `${place.inner[side].ipv4}/24`, ...authority, ...made);
  }
  return directory;
}

function configOf(directory: string, side: Side, { device, inner, port }: Slot): object {
  const other = otherSide(side);
  const anyone = [{ port: "any", proto: "any", host: "any" }];
  return {
    pki: {
      ca: join(directory, "ca.crt"),
      cert: join(directory, `${side}.crt`),
      key: join(directory, `${side}.key`),
    },
    static_host_map: { [inner[other].ipv4]: [`${PATH_ADDRESSES.path1[other]}:${port}`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: "0.0.0.0", port },
    tun: { dev: device, mtu: MTU },
    logging: { level: "error" },
    firewall: { outbound: anyone, inbound: anyone },
  };
}
