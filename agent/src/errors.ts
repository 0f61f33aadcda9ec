/** Everything the agent can refuse or fail at, by a stable code. The message is for people; nothing parses it. */

export type AgentErrorCode =
  /** The configuration file is unreadable or not of its schema. */
  | "CONFIG_INVALID"
  /** Neither generation of a state file is intact. */
  | "STATE_CORRUPT"
  | "STATE_DISK_FULL"
  | "STATE_READ_FAILED"
  | "STATE_WRITE_FAILED"
  /** A record beyond its bound was offered for writing. */
  | "STATE_TOO_LARGE"
  /** The node is a member, but the key that its membership names is gone. */
  | "IDENTITY_LOST"
  /** No certificate authority in the server's chain has the token's pin. */
  | "PIN_MISMATCH"
  /** The chain has the pinned authority, but the server's own certificate does not hold under it. */
  | "SERVER_UNTRUSTED"
  | "SERVER_UNREACHABLE"
  /** The server answered something that is not the enrolment API. */
  | "SERVER_RESPONSE_INVALID"
  /** The operator approved, but with an identity that is not this node's. */
  | "MEMBERSHIP_INVALID"
  | "CERTIFICATE_INVALID"
  | "TOKEN_UNREADABLE"
  /** The file with the pin of the fabric's authority is not there or holds none. */
  | "PIN_UNREADABLE"
  | "ALREADY_ENROLLED"
  | "ENGINE_UNREACHABLE"
  /** Nobody but this program can ask the name server, because it may not have port 53. */
  | "NAMES_PORT"
  /** The file is not there, or may not be written. */
  | "RESOLV_CONF"
  /** systemd-resolved is there but does not do what it is asked. */
  | "RESOLVED_REFUSES"
  | "REQUEST_INVALID"
  | "REQUEST_TOO_LARGE"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  /** Another agent already serves the local API's socket. */
  | "API_SOCKET_IN_USE";

export class AgentError extends Error {
  readonly code: AgentErrorCode;
  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AgentError";
    this.code = code;
  }
}

/** The enrolment server said no, in its own words and with its own code (RFC 9457). */
export class EnrolmentRefused extends Error {
  readonly code: string;
  readonly status: number;
  /** Under which the server's log has it. */
  readonly request: string | undefined;
  constructor(code: string, status: number, detail: string, request?: string) {
    super(detail);
    this.name = "EnrolmentRefused";
    this.code = code;
    this.status = status;
    this.request = request;
  }
}

/** The end of a switch over every case there is; the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected ${JSON.stringify(value)}`);
}

/** The code that an error of the fabric's packages or of the operating system carries. */
export function codeIn(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** The same for reporting: `INTERNAL` for an error without a code. */
export function codeOf(error: unknown): string {
  return codeIn(error) ?? "INTERNAL";
}

export function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error
    ? String(error.message)
    : String(error);
}
