/**
 * A release for hosts without Kubernetes: the programs and the Node that runs them, as a tarball for /opt or as a Debian package.
 *
 *   /opt/fabric/bin/          node, fabric-engine, fabric, fabric-agent
 *   /opt/fabric/*.mjs         the bundles that the last two are links to
 *   /opt/fabric/README.md     docs/install-off-cluster.md
 *
 * Neither starts anything: `fabric install` does, when its owner says so.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAMS, TARBALL_MARK } from "../../cli/src/host/layout.ts";
import { artifacts, productVersion, repositoryRoot } from "../bootstrap/artifacts.ts";
import { bundle } from "../images/bundle.ts";
import { installProgram } from "../images/root-file-system.ts";

/** Debian's names of the machines that Node is there for. */
const DEBIAN_MACHINES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const version = productVersion();
const machine: string = process.arch;

/** The programs in `folder`, to be found at /opt/fabric. */
export function layRelease(folder: string): void {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  installProgram(process.execPath, join(bin, "node"), "--strip-all");
  installProgram(artifacts().engine, join(bin, "fabric-engine"), "--strip-debug");
  for (const [program, command] of [
    ["agent", "fabric-agent"],
    ["fabric", "fabric"],
  ] as const) {
    bundle(program, join(folder, `${program}.mjs`), `${PROGRAMS}/bin/node`);
    symlinkSync(`../${program}.mjs`, join(bin, command));
  }
  copyFileSync(join(repositoryRoot, "docs/install-off-cluster.md"), join(folder, "README.md"));
  copyFileSync(join(repositoryRoot, "LICENSE"), join(folder, "LICENSE"));
}

/** Returns the file. `tar -C /opt -xzf` unpacks it. */
export function makeTarball(target: string): string {
  return inScratch((scratch) => {
    layRelease(join(scratch, "fabric"));
    writeFileSync(
      join(scratch, "fabric", TARBALL_MARK),
      "unpacked by hand: fabric uninstall takes it away\n",
    );
    const file = join(target, `fabric-${version}-linux-${machine}.tar.gz`);
    const owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
    execFileSync("tar", ["-C", scratch, ...owner, "-czf", file, "fabric"]);
    return file;
  });
}

/** Returns the file. Needs dpkg-deb. */
export function makeDebianPackage(target: string): string {
  const architecture = DEBIAN_MACHINES[machine];
  if (architecture === undefined) throw new Error(`no Debian package for ${machine}`);
  return inScratch((scratch) => {
    const folder = join(scratch, "package");
    layRelease(join(folder, PROGRAMS));
    mkdirSync(join(folder, "usr/bin"), { recursive: true });
    for (const command of ["fabric", "kubectl-fabric"])
      symlinkSync(`${PROGRAMS}/bin/fabric`, join(folder, "usr/bin", command));
    mkdirSync(join(folder, "DEBIAN"));
    writeFileSync(join(folder, "DEBIAN/control"), controlFile(architecture));
    for (const [name, text] of Object.entries(MAINTAINER_SCRIPTS))
      writeFileSync(join(folder, "DEBIAN", name), text, { mode: 0o755 });
    const file = join(target, `secure-access-fabric_${version}_${architecture}.deb`);
    execFileSync("dpkg-deb", ["--root-owner-group", "-Zgzip", "--build", folder, file], { stdio: "ignore" });
    return file;
  });
}

function controlFile(architecture: string): string {
  return `Package: secure-access-fabric
Version: ${version}
Architecture: ${architecture}
Maintainer: Secure Access Fabric contributors <maintainers@saf.dev>
Section: net
Priority: optional
Depends: libc6 (>= 2.36), libstdc++6, libatomic1, passwd, iproute2, systemd
Description: node of a Secure Access Fabric
 Agent and engine of an overlay network whose intent is Kubernetes resources and
 whose nodes keep working without it. After installing: fabric install.
`;
}

/** Nothing starts by itself. An upgrade restarts what runs; a removal keeps the node's key, a purge does not. */
const MAINTAINER_SCRIPTS: Readonly<Record<string, string>> = {
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if [ -e /etc/systemd/system/fabric-agent.service ] && [ -d /run/systemd/system ]; then
    systemctl try-restart fabric-engine.service fabric-agent.service || true
  elif [ -z "$2" ]; then
    echo "fabric: this host is no node yet; make it one with: fabric install --server https://<operator>:8443 --token-file <file>"
  fi
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ]; then
  ${PROGRAMS}/bin/fabric uninstall --keep-state
fi
`,
  postrm: `#!/bin/sh
set -e
# Without the user it is no state of ours: a node of Kubernetes has its agent's there.
if [ "$1" = purge ] && getent passwd fabric >/dev/null; then
  rm -rf /var/lib/fabric
  userdel fabric
fi
`,
};

function inScratch<T>(work: (scratch: string) => T): T {
  const scratch = mkdtempSync(join(tmpdir(), "fabric-release-"));
  try {
    return work(scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
