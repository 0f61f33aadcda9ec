/**
 * Text from elsewhere made safe for a terminal and for one line: names, reasons and error messages may come from a host
 * that nobody trusts yet, and a control character in them could move the cursor and forge what is read.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}
