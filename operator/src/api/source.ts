/** Who a connection comes from, as far as limits are concerned. */
import { isIPv6 } from "node:net";
import { addressToNumber } from "@saf/protocol";

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The address itself: without a zone, and an IPv4 address as one. */
export function addressOf(remoteAddress: string | undefined): string {
  const address = (remoteAddress ?? "unknown").split("%")[0] ?? "unknown";
  return MAPPED_IPV4.exec(address)?.[1] ?? address;
}

/** An IPv4 address, or the /64 of an IPv6 one: a host has a whole /64 to itself (RFC 6177), so its single addresses mean nothing. */
export function sourceOf(remoteAddress: string | undefined): string {
  const address = addressOf(remoteAddress);
  return isIPv6(address) ? `${(addressToNumber(address) >> 64n).toString(16)}::/64` : address;
}
