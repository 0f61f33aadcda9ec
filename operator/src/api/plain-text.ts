/** Text that a terminal, a Kubernetes object and PostgreSQL can all hold: JSON can carry control characters and half surrogates. */
const NOT_PLAIN = /[\p{Cc}\p{Cs}]/u;

/** Whether every string in a JSON value is plain. The value's depth is bounded by its schema. */
export function isPlain(value: unknown): boolean {
  if (typeof value === "string") return !NOT_PLAIN.test(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.values(value).every(isPlain);
}

/** PEM is printable ASCII in lines (RFC 7468). */
export function isPemText(text: string): boolean {
  return /^[\x20-\x7e\r\n]*$/.test(text);
}
