import fc from "fast-check";
import { createToken, hashSecret, parseToken, TokenError, verifySecret } from "./token.ts";

const pin = "A".repeat(43);

test("a token parses into what it was made of, and its hash knows its secret", () => {
  const { token, hash } = createToken({ id: "jt-1", pin });
  const parsed = parseToken(`${token}\n`);
  expect(parsed).toEqual({ id: "jt-1", pin, secret: expect.any(String) as string });
  expect(verifySecret(hash, parsed.secret)).toBe(true);
  expect(verifySecret(hash, parseToken(createToken({ id: "jt-1", pin }).token).secret)).toBe(false);
  expect(hash).not.toContain(parsed.secret);
});

test("the hash is salted", () => {
  expect(hashSecret("s", Buffer.alloc(16, 1))).not.toBe(hashSecret("s", Buffer.alloc(16, 2)));
});

test("damaged tokens are refused with a code and never repeated in the message", () => {
  const { token } = createToken({ id: "jt-1", pin });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.nat(token.length - 1).map((n) => token.slice(0, n)),
      ),
      (text) => {
        const error = (() => {
          try {
            return parseToken(text);
          } catch (caught) {
            return caught;
          }
        })();
        expect(error).toBeInstanceOf(TokenError);
        if (text.length > 8) expect((error as Error).message).not.toContain(text);
      },
    ),
  );
});

test("a hash of another form is a coded error, not a mismatch", () => {
  expect(() => verifySecret("md5:x", "s")).toThrow(expect.objectContaining({ code: "TOKEN_HASH_MALFORMED" }));
});
