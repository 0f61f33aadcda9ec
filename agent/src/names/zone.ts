/**
 * The names that this node may know: itself and the peers of its snapshot, forwards and backwards.
 *
 *   usa-1.home.fabric.internal   A, AAAA
 *   6.0.96.100.in-addr.arpa      PTR
 *
 * The zone is whole: what is below it and not in it does not exist. Everything else is somebody else's (null).
 */
import { isIP } from "node:net";
import {
  addressToNumber,
  cidrContains,
  nthAddress,
  parseCidr,
  type Cidr,
  type NodeSnapshotBody,
} from "@saf/protocol";
import { RCODE, TYPE, writeName, type Answer, type Question, type ResourceRecord } from "./message.ts";

/** Who is a peer changes within seconds; a cache must not know it for much longer. */
const TTL_SECONDS = 30;

/** A name below the zone, and what it stands for. */
export interface Host {
  readonly name: string;
  readonly addresses: NodeSnapshotBody["addresses"];
}

export interface ZoneInit {
  /** The zone's own name, e.g. `home.fabric.internal`. */
  readonly origin: string;
  /** The host that serves it: this node. */
  readonly server: string;
  readonly serial: number;
  /** The prefixes whose backward names are ours. */
  readonly pools: readonly string[];
  readonly hosts: readonly Host[];
}

export interface Zone {
  readonly origin: string;
  /** Names of the zones of backward names. */
  readonly reverse: readonly string[];
  /** Null: not ours to answer. */
  answer(question: Question): Answer | null;
  /** Whether it is the address of one of the hosts. */
  knows(address: string): boolean;
}

/** The node itself and the peers that its snapshot names. */
export function hostsOf({ nodeName, addresses, peers }: NodeSnapshotBody): Host[] {
  return [
    { name: nodeName, addresses },
    ...peers.map((peer) => ({ name: peer.nodeName, addresses: peer.addresses })),
  ];
}

export function createZone({ origin, server, serial, pools, hosts }: ZoneInit): Zone {
  const prefixes = pools.map(parseCidr);
  const byName = new Map<string, ResourceRecord[]>();
  const nameOf = new Map<string, string>();
  for (const { name, addresses } of hosts) {
    const full = `${name}.${origin}`.toLowerCase();
    const records = byName.get(full) ?? [];
    byName.set(full, records);
    for (const address of [addresses.ipv4, addresses.ipv6]) {
      records.push({
        type: isIP(address) === 4 ? TYPE.A : TYPE.AAAA,
        ttlSeconds: TTL_SECONDS,
        data: bytesOf(address),
      });
      nameOf.set(keyOf(address), full);
    }
  }
  const apex = [soa(server, origin, serial), ns(server, origin)];

  const found = (owned: readonly ResourceRecord[], type: number, authorityName: string): Answer => {
    const answers = owned.filter((record) => type === TYPE.ANY || record.type === type);
    const authority = answers.length > 0 ? [] : [{ ...soa(server, origin, serial), name: authorityName }];
    return { rcode: RCODE.NOERROR, answers, authority };
  };
  const missing = (authorityName: string): Answer => ({
    ...found([], 0, authorityName),
    rcode: RCODE.NXDOMAIN,
  });

  const backward = (name: string, type: number): Answer | null => {
    const address = addressIn(name);
    const prefix = prefixes.find((pool) => address !== null && cidrContains(pool, address));
    if (address === null || !prefix) return null;
    const host = nameOf.get(keyOf(address));
    const authorityName = name.split(".").slice(-labelsOf(prefix)).join(".");
    if (host === undefined) return missing(authorityName);
    return found([{ type: TYPE.PTR, ttlSeconds: TTL_SECONDS, data: writeName(host) }], type, authorityName);
  };

  return {
    origin,
    reverse: prefixes.flatMap(reverseZones),
    answer: ({ name, type }) => {
      if (name === origin) return found(apex, type, origin);
      if (!name.endsWith(`.${origin}`)) return backward(name, type);
      const records = byName.get(name);
      return records ? found(records, type, origin) : missing(origin);
    },
    knows: (address) => isIP(address) !== 0 && !address.includes("%") && nameOf.has(keyOf(address)),
  };
}

function ns(server: string, origin: string): ResourceRecord {
  return { type: TYPE.NS, ttlSeconds: TTL_SECONDS, data: writeName(`${server}.${origin}`) };
}

/** RFC 1035 §3.3.13; the last number is how long "no such name" is believed (RFC 2308). */
function soa(server: string, origin: string, serial: number): ResourceRecord {
  const times = Buffer.alloc(20);
  [serial >>> 0, 3600, 600, 86_400, TTL_SECONDS].forEach((value, index) =>
    times.writeUInt32BE(value, 4 * index),
  );
  const data = Buffer.concat([writeName(`${server}.${origin}`), writeName(`hostmaster.${origin}`), times]);
  return { type: TYPE.SOA, ttlSeconds: TTL_SECONDS, data };
}

// ---- backward names (RFC 1035 §3.5, RFC 3596 §2.5)

const FAMILIES = {
  4: { suffix: ["in-addr", "arpa"], labels: 4, bits: 8, radix: 10, digit: /^(0|[1-9]\d{0,2})$/ },
  6: { suffix: ["ip6", "arpa"], labels: 32, bits: 4, radix: 16, digit: /^[0-9a-f]$/ },
} as const;

/** The address that a backward name stands for; null when it stands for none, or for a whole network. */
function addressIn(name: string): string | null {
  const labels = name.split(".");
  for (const family of [4, 6] as const) {
    const { suffix, labels: count, bits, radix, digit } = FAMILIES[family];
    if (labels.length !== count + 2 || labels.slice(-2).join(".") !== suffix.join(".")) continue;
    const digits = labels.slice(0, count).toReversed();
    if (!digits.every((text) => digit.test(text) && Number.parseInt(text, radix) < 1 << bits)) return null;
    const value = digits.reduce(
      (sum, text) => (sum << BigInt(bits)) + BigInt(Number.parseInt(text, radix)),
      0n,
    );
    return nthAddress({ family, base: 0n, prefixLength: 0 }, value);
  }
  return null;
}

/** How many labels the zones of a prefix have: as few as hold no address of anybody else. */
function labelsOf({ family, prefixLength }: Cidr): number {
  return Math.ceil(prefixLength / FAMILIES[family].bits) + 2;
}

function reverseZones(prefix: Cidr): string[] {
  const { family, base, prefixLength } = prefix;
  const { suffix, labels, bits, radix } = FAMILIES[family];
  const kept = labelsOf(prefix) - 2;
  const zoneBits = BigInt(bits * (labels - kept));
  const count = 2 ** (kept * bits - prefixLength);
  return Array.from({ length: count }, (_, index) => {
    const digits = Array.from({ length: kept }, (_unused, place) => {
      const shift = BigInt(bits * (labels - kept + place));
      const value = ((base + (BigInt(index) << zoneBits)) >> shift) & BigInt(2 ** bits - 1);
      return value.toString(radix);
    });
    return [...digits, ...suffix].join(".");
  });
}

function bytesOf(address: string): Uint8Array {
  const length = isIP(address) === 4 ? 4 : 16;
  return Buffer.from(
    addressToNumber(address)
      .toString(16)
      .padStart(2 * length, "0"),
    "hex",
  );
}

/** The same for every way to write an address. */
function keyOf(address: string): string {
  return `${isIP(address)}:${addressToNumber(address)}`;
}
