/** Everyone who takes part, in the order of the table. */
import { buildForwarder, type ForwarderBinaries } from "./builds/forwarder.ts";
import { buildPeers } from "./builds/peers.ts";
import type { Contender } from "./contender.ts";
import { bareWire } from "./contenders/bare-wire.ts";
import { described, type Description } from "./contenders/described.ts";
import type { FabricPair } from "./contenders/fabric.ts";
import { forwarder } from "./contenders/forwarder.ts";
import { nebula } from "./contenders/nebula.ts";
import { wireguardGo } from "./contenders/wireguard-go.ts";
import { slot } from "./device.ts";

export interface Binaries {
  readonly peers: ReturnType<typeof buildPeers>;
  readonly forwarder: ForwarderBinaries;
}

export function buildBinaries(say: (text: string) => void): Binaries {
  return { peers: buildPeers(say), forwarder: buildForwarder(say) };
}

/** `fabric` resolves to the pair of nodes that both of our own contenders share. */
export function allContenders(
  { peers, forwarder: { forwarder: forwarderBinary } }: Binaries,
  descriptions: readonly Description[],
  version: string,
  fabric: () => FabricPair,
): Contender[] {
  const ours = (name: string, title: string, realTime: boolean): Contender => ({
    name,
    title,
    kind: "ours",
    version,
    start: () => fabric().tunnel(realTime),
  });
  const tailscale = peers["tailscale-wireguard-go"];
  return [
    ours("fabric", "Fabric", true),
    ours("fabric-normal", "Fabric without real-time priority", false),
    wireguardGo("tailscale", "Tailscale's wireguard-go", tailscale, slot(0)),
    wireguardGo("wireguard", "wireguard-go", peers["wireguard-go"], slot(1)),
    nebula(peers.nebula, peers["nebula-cert"], slot(2)),
    ...descriptions.map((one, index) => described(one, slot(5 + index))),
    forwarder("none", forwarderBinary, slot(3)),
    forwarder("aes-128-gcm", forwarderBinary, slot(4)),
    bareWire,
  ];
}
