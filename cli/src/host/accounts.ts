/** The agent's user. Its number is looked up in the host's own file, which is also right below another root. */
import type { HostSystem, Owner } from "./host-system.ts";
import { PATHS, USER } from "./layout.ts";

/** Undefined when there is none. */
export async function findUser(host: HostSystem): Promise<Owner | undefined> {
  const lines = ((await host.read("/etc/passwd")) ?? "").split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${USER}:`))?.split(":") ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

const below = ({ root }: HostSystem): string[] => (root === "/" ? [] : ["--prefix", root]);

/** Makes the user and a group of its own, unless there is one; undefined in a dry run that would make it. */
export async function ensureUser(host: HostSystem): Promise<Owner | undefined> {
  const known = await findUser(host);
  if (known) return known;
  const account = ["--system", "--user-group", "--no-create-home", "--home-dir", PATHS.agentState];
  const shell = ["--shell", "/usr/sbin/nologin"];
  await host.change(`user ${USER}`, "made", ["useradd", ...below(host), ...account, ...shell, USER]);
  return findUser(host);
}

export async function removeUser(host: HostSystem): Promise<void> {
  if (!(await findUser(host))) return;
  await host.change(`user ${USER}`, "removed", ["userdel", ...below(host), USER]);
}
