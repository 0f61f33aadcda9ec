/** Every code with which a session or a handshake can end: docs/wire/frames.md. */
export const SESSION_CODES: readonly string[] = [
  "GOING_AWAY",
  "IDLE_TIMEOUT",
  "DUPLICATE",
  "EXPIRED",
  "REVOKED",
  "UNKNOWN_PEER",
  "WRONG_TRUST_DOMAIN",
  "BAD_CHAIN",
  "PIN_MISMATCH",
  "PROTOCOL_ERROR",
  "FRAME_TOO_LARGE",
  "UNKNOWN_FRAME",
  "VERSION_UNSUPPORTED",
  "AUTH_FAILED",
  "HANDSHAKE_TIMEOUT",
];
