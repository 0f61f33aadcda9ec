/** One host of a lab: a network namespace and a directory. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { join } from "node:path";
import { type CommandOptions, type CommandOutput, inNamespace, namespaceCommand } from "./namespaces.ts";

export interface Host {
  readonly name: string;
  readonly namespace: string;
  /** Its own address on its network, without prefix length. */
  readonly address: string;
  /** `<lab>/hosts/<name>`, owned by root. */
  readonly directory: string;
  /** Runs a command as root to its end; rejects with COMMAND_FAILED unless it ends with 0. */
  exec(command: readonly string[], options?: CommandOptions): Promise<CommandOutput>;
  /** Starts a command as root. It ends with the lab, whichever way the lab ends. */
  spawn(command: readonly string[], options?: SpawnOptions): ChildProcess;
}

export function createHost(labDirectory: string, namespace: string, name: string, address: string): Host {
  return {
    name,
    namespace,
    address,
    directory: join(labDirectory, "hosts", name),
    exec: (command, options) => inNamespace(namespace, command, options),
    spawn: (command, options = {}) => {
      const [file, ...args] = namespaceCommand(namespace, command);
      return spawn(file!, args, options);
    },
  };
}
