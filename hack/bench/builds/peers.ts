/** The tunnels that the fabric is measured against, built from the Go module proxy at exact versions. */
import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../../bootstrap/artifacts.ts";
import { buildOnce, contentHash } from "../../bootstrap/build-cache.ts";

export interface PeerBinary {
  readonly path: string;
  readonly version: string;
}

export type PeerName = keyof typeof MODULES;

/** Two of them call their binary alike, so each is renamed. */
const MODULES = {
  "wireguard-go": {
    module: "golang.zx2c4.com/wireguard",
    version: "v0.0.0-20260522210424-ecfc5a8d5446",
    binary: "wireguard",
  },
  "tailscale-wireguard-go": {
    module: "github.com/tailscale/wireguard-go",
    version: "v0.0.0-20260928213032-417aef361226",
    binary: "wireguard-go",
  },
  nebula: { module: "github.com/slackhq/nebula/cmd/nebula", version: "v1.10.3", binary: "nebula" },
  "nebula-cert": {
    module: "github.com/slackhq/nebula/cmd/nebula-cert",
    version: "v1.10.3",
    binary: "nebula-cert",
  },
} as const;
const FLAGS = ["-trimpath"];

/** Builds them all unless they are there: half a minute with a warm module cache, a few minutes without. */
export function buildPeers(say: (text: string) => void): Readonly<Record<PeerName, PeerBinary>> {
  const modules = Object.entries(MODULES);
  const compiler = execFileSync("go", ["version"], { encoding: "utf8" }).trim();
  const words = [
    compiler,
    ...FLAGS,
    ...modules.flatMap(([name, { module, version }]) => [name, module, version]),
  ];
  const { directory } = buildOnce(
    join(cacheDirectory(), "bench-peers"),
    contentHash("/", [], words),
    (target) => {
      for (const [name, { module, version, binary }] of modules) {
        say(`building ${module}@${version}`);
        execFileSync("go", ["install", ...FLAGS, `${module}@${version}`], {
          env: { ...process.env, GOBIN: target, CGO_ENABLED: "0" },
          stdio: ["ignore", "inherit", "inherit"],
        });
        renameSync(join(target, binary), join(target, `built-${name}`));
      }
    },
  );
  const built = modules.map(([name, { version }]) => [
    name,
    { path: join(directory, `built-${name}`), version },
  ]);
  return Object.fromEntries(built) as Record<PeerName, PeerBinary>;
}
