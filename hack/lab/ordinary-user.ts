/**
 * Runs the tree's programs as users who need not be able to reach the tree (a clone below /root): they see it, and the
 * Node in it, read-only at a place that they can reach. The mount is in the program's own mount namespace and ends with it.
 */
import { join, relative } from "node:path";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

/** An account by number: nothing is added to the machine's user database. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface Confinement {
  readonly user: User;
  /** The capabilities that it may ever have, as setpriv says them: `-all`, or `-all,+net_admin`. */
  readonly capabilities: string;
  /** An empty directory that the user can reach. */
  readonly codeDirectory: string;
}

const mountCode = 'mount -o bind,ro "$0" "$1" && shift && exec "$@"';

/**
 * The words that become `command` by exec, with those rights, to end with the process that starts them. They need a mount
 * namespace of their own, which `ip netns exec` and `unshare --mount` make.
 */
export function confinedCommand(confinement: Confinement, command: readonly string[]): string[] {
  const { user, capabilities, codeDirectory } = confinement;
  const privileges = [
    ["setpriv", "--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups"],
    ["--bounding-set", capabilities, "--inh-caps", "-all", "--no-new-privs", "--pdeathsig", "KILL"],
  ].flat();
  return ["sh", "-c", mountCode, repositoryRoot, codeDirectory, ...privileges, ...command];
}

/** Where the confined program finds a file: the same place, unless it is in the tree. */
export function codePath(codeDirectory: string, path: string): string {
  const inTree = relative(repositoryRoot, path);
  return inTree.startsWith("..") ? path : join(codeDirectory, inTree);
}
