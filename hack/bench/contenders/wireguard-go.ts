/** wireguard-go, upstream's and Tailscale's: configured through its own socket, so that no further tool is needed. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { connect } from "node:net";
import { until } from "../../demo/wait.ts";
import type { PeerBinary } from "../builds/peers.ts";
import { BenchError } from "../bench-error.ts";
import type { Contender } from "../contender.ts";
import type { Slot } from "../device.ts";
import { startPair } from "../pair.ts";
import { startTunnelProcess } from "../tunnel-process.ts";
import { otherSide, PATH_ADDRESSES, type Side } from "../wires.ts";

/** 1500 less IPv6, UDP and WireGuard's own 32: what wg-quick chooses. */
const MTU = 1420;
const ANSWER_TIMEOUT_MS = 2_000;

export function wireguardGo(name: string, title: string, binary: PeerBinary, place: Slot): Contender {
  return {
    name,
    title,
    kind: "peer",
    version: binary.version,
    start: (bed) => {
      const keys = { left: generateKeyPairSync("x25519"), right: generateKeyPairSync("x25519") };
      return startPair(bed, {
        place,
        mtu: MTU,
        start: (side) => {
          // Their sockets are named by the device alone and would be shared by all namespaces: each gets a /run of its own.
          const ownRun = ["sh", "-c", 'mount -t tmpfs none /run && exec "$0" "$@"'];
          const command = [...ownRun, binary.path, "--foreground", place.device];
          return startTunnelProcess(bed, bed[side], name, command, { LOG_LEVEL: "error" });
        },
        instruct: async (side, { pid }) => {
          const socket = `/proc/${pid}/root/run/wireguard/${place.device}.sock`;
          await until(
            `${name} takes its configuration`,
            async () => (await configure(socket, settings(side, keys, place)), true),
            { timeoutMs: 5_000, everyMs: 20 },
          );
        },
      });
    },
  };
}

type Keys = Readonly<Record<Side, { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>>;

/** wireguard.com/xplatform: a set operation. */
function settings(own: Side, keys: Keys, { port }: Slot): string {
  const other = otherSide(own);
  return [
    "set=1",
    `private_key=${rawKey(keys[own].privateKey, "d")}`,
    `listen_port=${port}`,
    `public_key=${rawKey(keys[other].publicKey, "x")}`,
    `endpoint=${PATH_ADDRESSES.path1[other]}:${port}`,
    "allowed_ip=0.0.0.0/0",
    "allowed_ip=::/0",
    "",
    "",
  ].join("\n");
}

function rawKey(key: KeyObject, part: "d" | "x"): string {
  return Buffer.from(key.export({ format: "jwk" })[part] ?? "", "base64url").toString("hex");
}

function configure(path: string, request: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let answer = "";
  const socket = connect({ path });
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new BenchError("wireguard-go does not answer")));
  socket.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
    if (answer.includes("\n\n")) socket.end();
  });
  socket.once("error", reject);
  socket.once("close", () => {
    if (answer.startsWith("errno=0\n")) resolve();
    else reject(new BenchError(`wireguard-go refuses its configuration: ${answer.trim()}`));
  });
  socket.write(request);
  return promise;
}
