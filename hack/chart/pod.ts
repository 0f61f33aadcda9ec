/**
 * Starts the containers of a pod template on a host of a lab, without a kubelet: the users, groups and capabilities that its security
 * contexts say, and its volumes where its mounts say, made as a kubelet makes them (a ConfigMap's files are links into a folder that is
 * replaced as a whole; what has an fsGroup belongs to that group). The programs are the tree's.
 */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts, repositoryRoot } from "../bootstrap/artifacts.ts";
import { bundled } from "../images/bundle.ts";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { codePath } from "../lab/ordinary-user.ts";
import type { SupervisedProcess } from "../lab/supervisor.ts";

export interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsGroup: number;
    readonly capabilities?: { readonly add?: readonly string[] };
  };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly projected?: object;
  readonly secret?: object;
  readonly persistentVolumeClaim?: object;
  readonly emptyDir?: object;
  readonly hostPath?: { readonly path: string; readonly type: string };
}

export interface PodSpec {
  readonly securityContext: { readonly fsGroup: number };
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}

export interface PodInit {
  readonly lab: Lab;
  readonly host: Host;
  readonly spec: PodSpec;
  /** Keys and texts of ConfigMaps and projected volumes, by the volume's name. */
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What `$(NAME)` is in arguments. */
  readonly variables: Readonly<Record<string, string>>;
  /** Of every container. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Pod {
  /** Where a volume is on this machine. */
  volume(name: string): string;
  /** Runs an init container to its end. */
  initialize(name: string): Promise<void>;
  start(name: string): SupervisedProcess;
}

export function createPod(init: PodInit): Pod {
  const { lab, host, spec, files, variables, environment = {} } = init;
  const root = join(host.directory, "pod");
  const { fsGroup } = spec.securityContext;
  const volume = (name: string): string => join(root, name);
  mkdirSync(root);
  for (const { name, hostPath, emptyDir, persistentVolumeClaim } of spec.volumes) {
    if (hostPath?.type === "CharDevice") continue; // the machine's own
    if (hostPath) makeFolder(volume(name), 0, 0o755);
    else if (emptyDir) makeFolder(volume(name), fsGroup, 0o2777);
    else if (persistentVolumeClaim) makeFolder(volume(name), fsGroup, 0o2775);
    else writeAtomicFolder(volume(name), fsGroup, files[name] ?? {});
  }

  const commandOf = (container: Container): string[] => {
    const { runAsUser, runAsGroup, capabilities } = container.securityContext;
    const granted = (capabilities?.add ?? []).map((name) => `,+${name.toLowerCase()}`).join("");
    const code = join(lab.directory, "code");
    const mounts = container.volumeMounts.filter(({ mountPath }) => !mountPath.startsWith("/dev/"));
    const binds = mounts.flatMap(({ name, mountPath }) => [
      `mkdir -p ${mountPath}`,
      `mount --bind ${volume(name)} ${mountPath}`,
    ]);
    // Folders of the image, as far as they matter: empty ones in which mount points can be made.
    const script = [
      "set -e",
      ...["/run", "/etc", "/var/lib"].map((path) => `mount -t tmpfs none ${path}`),
      `mount -o bind,ro ${repositoryRoot} ${code}`,
      // initdb asks for the name of its user.
      "echo fabric:x:65532:65532::/:/none > /etc/passwd",
      ...binds.filter((step) => !step.endsWith(" /tmp")), // the lab itself is in there
      'exec "$@"',
    ].join("\n");
    const privileges = [
      ["setpriv", "--reuid", String(runAsUser), "--regid", String(runAsGroup), "--groups", String(fsGroup)],
      ["--bounding-set", `-all${granted}`, "--inh-caps", "-all", "--no-new-privs", "--pdeathsig", "KILL"],
    ].flat();
    const [name = "", ...rest] = [...container.command, ...container.args];
    const args = rest.map((arg) =>
      arg.replaceAll(/\$\((\w+)\)/g, (whole, key: string) => variables[key] ?? whole),
    );
    const given = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
    return ["env", ...given, "sh", "-c", script, "sh", ...privileges, ...program(name, code), ...args];
  };
  const find = (containers: readonly Container[], name: string): Container => {
    const found = containers.find((container) => container.name === name);
    if (!found) throw new Error(`the pod has no container ${name}`);
    return found;
  };
  return {
    volume,
    initialize: async (name) => void (await host.exec(commandOf(find(spec.initContainers ?? [], name)))),
    start: (name) =>
      lab.supervisor.add({
        name: `${host.name}/pod-${name}`,
        command: ["ip", "netns", "exec", host.namespace, ...commandOf(find(spec.containers, name))],
        logFile: join(lab.directory, "logs", `${host.name}.pod-${name}.log`),
      }),
  };
}

/** What the image has under that name. */
function program(name: string, code: string): string[] {
  const node = codePath(code, process.execPath);
  if (name === "node") return [node];
  if (name === "fabric-engine") return [artifacts().engine];
  if (name === "fabric-agent") return [node, codePath(code, bundled("agent"))];
  if (name === "fabric-operator") return [node, codePath(code, bundled("operator"))];
  throw new Error(`no image has ${name}`);
}

function makeFolder(path: string, group: number, mode: number): void {
  mkdirSync(path);
  chownSync(path, 0, group);
  chmodSync(path, mode);
}

/** `<key>` → `..data/<key>`, `..data` → a folder named by its time. */
function writeAtomicFolder(path: string, group: number, files: Readonly<Record<string, string>>): void {
  makeFolder(path, group, 0o2777);
  const version = "..2026_11_21_10_00_00.1";
  makeFolder(join(path, version), group, 0o2755);
  symlinkSync(version, join(path, "..data"));
  for (const [key, text] of Object.entries(files)) {
    const file = join(path, version, key);
    writeFileSync(file, text);
    chownSync(file, 0, group);
    chmodSync(file, 0o640);
    symlinkSync(join("..data", key), join(path, key));
  }
}
