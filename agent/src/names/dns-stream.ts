/** DNS over TCP (RFC 1035 §4.2.2): each message behind its length in two bytes. */

/** What two bytes can say. */
export const MAX_MESSAGE_BYTES = 65_535;

/** Ends with the stream, or when a message longer than `maxBytes` is announced. */
export async function* readMessages(
  stream: AsyncIterable<Buffer>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 2) {
      const length = held.readUInt16BE();
      if (length > maxBytes) return;
      if (held.length < 2 + length) break;
      yield held.subarray(2, 2 + length);
      held = held.subarray(2 + length);
    }
  }
}

export function writeMessage(message: Uint8Array): Uint8Array {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
