/**
 * Takes secrets out of text that leaves the host. Nothing secret is written to logs and statuses to begin with; this is for what slipped
 * in, from a library's error or from a person's own naming. It would rather take too much.
 */

export const REDACTED = "[redacted]";

/** Names whose values are secrets, also as the end of a longer one: DB_PASSWORD, client-secret. `tokenFile` is none. */
const NAME =
  /(?:secret|password|passwd|passphrase|token|authorization|cookie|client-key-data|(?:private|api|access)[_-]?key|key[_-]?pem)/;

function named(before: RegExp, value: RegExp): RegExp {
  return new RegExp(`(${NAME.source}${before.source})${value.source}`, "gi");
}

// None of them looks back over what may be long: a bundle's parts have megabytes.
const RULES: readonly (readonly [RegExp, string])[] = [
  // Also as a JSON string, where line breaks are \n, and when cut off.
  [
    /-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)/g,
    REDACTED,
  ],
  // PEM in base64, as kubeconfigs and Secrets have it.
  [/LS0tLS1CRUdJTi[A-Za-z0-9+/]+=*/g, REDACTED],
  // A join token: its id is no secret and says which one it was.
  [/\b(saf1\.[a-z0-9.-]{1,63}?)\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*/g, `$1.${REDACTED}`],
  // JSON web tokens: service accounts, and signed documents of ours.
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g, REDACTED],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // postgres://user:password@host, also where the password has an @ or a / in it.
  [/:\/\/(?:[^\s/:@"']{0,1024}:[^\s"']{0,1024}|[^\s/?#"']{0,1024})@/g, `://${REDACTED}@`],
  // Salted hashes of tokens.
  [/\bsha256:[A-Za-z0-9_-]{8,}:[A-Za-z0-9_-]{16,}/g, `sha256:${REDACTED}`],
  // Values of names that say what they are: in JSON that is a string of JSON, in JSON, in quotes, in headers, as an argument, else one word.
  [named(/\\"\s*:\s*\\"/, /(?:\\{3}"|(?!\\").)*/), `$1${REDACTED}`],
  [named(/["']?\s*[:=]\s*"/, /(?:[^"\\]|\\[\s\S])*/), `$1${REDACTED}`],
  [named(/["']?\s*[:=]\s*'/, /[^']*/), `$1${REDACTED}`],
  [/\b(authorization|cookie)(:\s*)[^\n"']+/gi, `$1$2${REDACTED}`],
  [new RegExp(`(--[a-z-]{0,32}${NAME.source}\\s+)[^\\s"']+`, "gi"), `$1${REDACTED}`],
  [named(/["']?\s*[:=]\s*/, /(?!(?:null|true|false|\d+)\s*[,}\]\n]|[{[]|\s)[^\s"'&\\]+/), `$1${REDACTED}`],
];

export function redact(text: string): string {
  return RULES.reduce((left, [pattern, by]) => left.replaceAll(pattern, by), text);
}
