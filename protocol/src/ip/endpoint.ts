/** A transport address as text: `192.0.2.1:7443` or `[2001:db8::1]:7443`. */
import { isIP } from "node:net";
import { AddressError } from "./cidr.ts";

/** The longest IPv6 address in brackets with a port has 47 characters. */
export const MAX_ENDPOINT_LENGTH = 64;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Throws AddressError. Names are not endpoints: nothing here resolves. Nor are zones: they mean something on one host only. */
export function parseEndpoint(text: string): Endpoint {
  const match =
    text.length <= MAX_ENDPOINT_LENGTH ? /^(?:\[([^\]%]+)\]|([^:]+)):(\d{1,5})$/.exec(text) : null;
  const [, v6, v4, portText] = match ?? [];
  const port = Number(portText);
  const address = v6 ?? v4;
  if (!address || isIP(address) !== (v6 ? 6 : 4) || !(port >= 1 && port <= 65535)) {
    throw new AddressError("an endpoint reads <ipv4>:<port> or [<ipv6>]:<port>");
  }
  return { address, port };
}

export function formatEndpoint({ address, port }: Endpoint): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
