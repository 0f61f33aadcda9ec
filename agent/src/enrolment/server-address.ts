/** `https://host:port` of an enrolment server. */
import { AgentError } from "../errors.ts";
import type { ServerAddress } from "./pinned-authority.ts";

/** A host name has at most 253 characters. */
const MAX_LENGTH = 512;

/** Throws AgentError REQUEST_INVALID. */
export function parseServerAddress(text: string): ServerAddress {
  const url = text.length <= MAX_LENGTH ? URL.parse(text) : null;
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.search || url.username || url.hash) {
    throw new AgentError("REQUEST_INVALID", "an enrolment server reads https://<host>:<port>");
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(url.port || 443) };
}
