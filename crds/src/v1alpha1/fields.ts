/** Field types that several kinds share: each one has its bound here, and its description where it is used. */
import { z } from "zod";
import type { CelRule } from "../schema/structural.ts";

/** RFC 1123 label: 63 characters, lower case, no dots. */
const DNS_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";

export const dnsLabel = z
  .string()
  .min(1)
  .max(63)
  .regex(new RegExp(`^${DNS_LABEL}$`));

/** A DNS name that fits one label's length, because it also names Kubernetes objects and SPIFFE trust domains. */
export const dnsName = z
  .string()
  .min(1)
  .max(63)
  .regex(new RegExp(`^${DNS_LABEL}(\\.${DNS_LABEL})*$`));

/** A word that people choose to group nodes by; the same form as a Kubernetes label's value. */
export const groupName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/);

/** A folder below folders: each one becomes a label's name, with dots for the slashes, which has at most 63 characters. */
export const groupPath = z
  .string()
  .min(1)
  .max(63)
  .regex(new RegExp(`^${DNS_LABEL}(/${DNS_LABEL}){0,7}$`));

export const dateTime = z.iso.datetime({ offset: true });

/** Lower-case hex SHA-256 of a public key's SPKI DER. */
export const fingerprint = z
  .string()
  .min(64)
  .max(64)
  .regex(/^[0-9a-f]{64}$/);

export const uuid = z
  .string()
  .min(36)
  .max(36)
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);

/** `ip:port`, IPv6 in brackets: 45 characters of address, brackets, colon and port. */
export const socketAddress = z
  .string()
  .min(1)
  .max(53)
  .regex(/^([0-9.]{7,15}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}$/);

export const ipv4Address = z.string().min(1).max(15);
export const ipv6Address = z.string().min(1).max(45);

/** Terms, epochs, generations and byte counts: whole numbers that JavaScript holds exactly. */
export const counter = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const generation = counter;

/**
 * Of an object that the operator has not seen: the API server fills it in. Without it, tools that wait by kstatus (Flux) take an
 * object without status for one that is done.
 */
export const UNSEEN_GENERATION = -1;

/** A number of nodes; a fabric cluster has at most 10 000. */
export const nodeCount = z.int().min(0).max(10_000);

/** A person's or service account's name, as the API server authenticated it. */
export const userName = z.string().min(1).max(253);

export const reasonText = z.string().min(1).max(256);

export const observedGeneration = z
  .int()
  .min(UNSEEN_GENERATION)
  .max(Number.MAX_SAFE_INTEGER)
  .optional()
  .meta({
    description:
      "metadata.generation that this status was decided from; -1 before the operator saw the object.",
  });

/** @param instead What to do about it. */
export function immutable(what: string, instead?: string): CelRule[] {
  const message = `${what} cannot be changed${instead === undefined ? "" : `: ${instead}`}`;
  return [{ rule: "self == oldSelf", message, reason: "FieldValueForbidden" }];
}

/** The object's name must be one DNS label: it becomes part of host names and tokens, where a dot separates. */
export function nameIsLabel(what: string): CelRule {
  return {
    rule: "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
    message: `the name of a ${what} is a DNS label: at most 63 of a-z, 0-9 and '-', no dots`,
    messageExpression: `"the name of a ${what} is a DNS label: at most 63 of a-z, 0-9 and '-', no dots" + (size(self.metadata.name) <= 63 && self.metadata.name.contains('.') ? "; e.g. " + self.metadata.name.replace('.', '-') : "")`,
  };
}
