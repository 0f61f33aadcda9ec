/** A node's name from the name of its Kubernetes Node: the same function at the agent, which says it, and at the operator, which checks it. */
import { IdentityError } from "./errors.ts";
import { NODE_NAME_PATTERN } from "./spiffe.ts";

/**
 * Dots become dashes: a Kubernetes Node may be called like a host (`worker-1.example.net`), a FabricNode's name is one DNS label.
 * Two Nodes that differ only by that get the same name; the second one is refused (NODE_NAME_TAKEN).
 * Throws IdentityError NODE_NAME_INVALID when what comes out is no DNS label, which is when it has over 63 characters.
 */
export function nodeNameOf(kubernetesNodeName: string): string {
  const name = kubernetesNodeName.length <= 253 ? kubernetesNodeName.replaceAll(".", "-") : "";
  if (!NODE_NAME_PATTERN.test(name))
    throw new IdentityError(
      "NODE_NAME_INVALID",
      `the Kubernetes Node's name makes no node name: at most 63 of a-z, 0-9, '-' and '.'`,
    );
  return name;
}
