/** IPv4 and IPv6 prefixes as numbers. Addresses print in canonical form (RFC 5952 for IPv6). */
import { isIP, SocketAddress } from "node:net";

export interface Cidr {
  readonly family: 4 | 6;
  /** First address, host bits clear. */
  readonly base: bigint;
  readonly prefixLength: number;
}

export class AddressError extends Error {
  readonly code = "ADDRESS_INVALID";
  constructor(message: string) {
    super(message);
    this.name = "AddressError";
  }
}

const BITS = { 4: 32, 6: 128 } as const;

/** Throws AddressError when the text is no prefix or has host bits set (`10.0.0.1/8`). */
export function parseCidr(text: string): Cidr {
  const [address, length, ...rest] = text.length <= 64 ? text.split("/") : [];
  const family = isIP(address ?? "");
  const prefixLength = Number(length);
  if (!address || (family !== 4 && family !== 6) || rest.length > 0 || !/^\d{1,3}$/.test(length ?? "")) {
    throw new AddressError("a prefix reads <address>/<length>");
  }
  if (prefixLength > BITS[family]) throw new AddressError(`prefix length over ${BITS[family]}`);
  const base = addressToNumber(address);
  if (base % hostCount({ family, prefixLength }) !== 0n)
    throw new AddressError("the prefix has host bits set");
  return { family, base, prefixLength };
}

export function formatCidr(cidr: Cidr): string {
  return `${numberToAddress(cidr.family, cidr.base)}/${cidr.prefixLength}`;
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  if (isIP(address) !== cidr.family) return false;
  const offset = addressToNumber(address) - cidr.base;
  return offset >= 0n && offset < hostCount(cidr);
}

/** How many addresses the prefix spans. */
export function hostCount({ family, prefixLength }: Pick<Cidr, "family" | "prefixLength">): bigint {
  return 1n << BigInt(BITS[family] - prefixLength);
}

/** The `ordinal`-th address of the prefix, counted from 0. Throws AddressError beyond its end. */
export function nthAddress(cidr: Cidr, ordinal: bigint): string {
  if (ordinal < 0n || ordinal >= hostCount(cidr)) throw new AddressError("ordinal outside the prefix");
  return numberToAddress(cidr.family, cidr.base + ordinal);
}

export function addressToNumber(address: string): bigint {
  const family = isIP(address);
  if (family === 4) return address.split(".").reduce((sum, octet) => sum * 256n + BigInt(octet), 0n);
  if (family !== 6 || address.includes("%")) throw new AddressError("not an IP address");
  return groupsOf(address).reduce((sum, group) => sum * 65536n + BigInt(group), 0n);
}

function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = dotted
    ? `${dotted[1]}${hex(Number(dotted[2]) * 256 + Number(dotted[3]))}:${hex(Number(dotted[4]) * 256 + Number(dotted[5]))}`
    : address;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}

function hex(value: number): string {
  return value.toString(16);
}

function numberToAddress(family: 4 | 6, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    hex(Number((value >> BigInt(112 - 16 * index)) & 65535n)),
  );
  return new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address;
}
