/**
 * Takes secrets out of text that leaves the host. Nothing secret is written to logs and statuses to begin with; this is for what slipped
 * in, from a library's error or from a person's own naming. It would rather take too much.
 */

export const REDACTED = "[redacted]";

const RULES: readonly (readonly [RegExp, string])[] = [
  // Also as a JSON string, where line breaks are \n, and when cut off.
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // A join token: its id is no secret and says which one it was.
  [/\b(saf1\.[a-z0-9.-]{1,63}?)\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*/g, `$1.${REDACTED}`],
  // JSON web tokens: service accounts, and signed documents of ours.
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g, REDACTED],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // postgres://user:password@host
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${REDACTED}@`],
  // Salted hashes of tokens.
  [/\bsha256:[A-Za-z0-9_-]{8,}:[A-Za-z0-9_-]{16,}/g, `sha256:${REDACTED}`],
  // Values of names that say what they are, in JSON and in key=value.
  [
    /("(?:[a-z]*(?:secret|password|passwd|token|privatekey|keypem|authorization|client-key-data|apikey))"\s*:\s*)"(?:[^"\\]|\\.)*"/gi,
    `$1"${REDACTED}"`,
  ],
  [/\b((?:password|passwd|secret|token)=)[^\s&"']+/gi, `$1${REDACTED}`],
];

export function redact(text: string): string {
  return RULES.reduce((left, [pattern, by]) => left.replaceAll(pattern, by), text);
}
