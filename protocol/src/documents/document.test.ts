import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { z } from "zod";
import {
  compareOrder,
  signDocument,
  verifyDocument,
  MAX_DOCUMENT_BYTES,
  type DocumentPayload,
} from "./document.ts";
import { DocumentError } from "./errors.ts";
import { rawEd25519, signingKeysOf, verifyTrustRoot, type TrustRootBody } from "./trust-root.ts";

const NOW = 1_800_000_000;
const own = generateKeyPairSync("ed25519");
const foreign = generateKeyPairSync("ed25519");
const key = { kid: "k1", privateKey: own.privateKey };
const body = z.object({ says: z.string() });
const payload: DocumentPayload<z.infer<typeof body>> = {
  cluster: "home.example",
  term: 3,
  epoch: 7,
  issuedAt: NOW,
  expiresAt: NOW + 600,
  scope: "node-1",
  body: { says: "hello" },
};
const expected = {
  type: "saf-node-snapshot" as const,
  cluster: "home.example",
  scope: "node-1",
  body,
  keys: new Map([["k1", own.publicKey]]),
  now: NOW,
};

const sign = (change: object = {}, by = key): Promise<string> =>
  signDocument("saf-node-snapshot", { ...payload, ...change }, by);

async function refusal(jws: string | Promise<string>, change: object = {}): Promise<string> {
  const error = await verifyDocument(await jws, { ...expected, ...change }).catch(
    (caught: unknown) => caught,
  );
  if (!(error instanceof DocumentError)) throw new Error(`expected a refusal, got ${JSON.stringify(error)}`);
  return error.code;
}

test("a document comes back as it was signed", async () => {
  expect(await verifyDocument(await sign(), expected)).toEqual(payload);
});

test.each([
  [
    "signed by another key of the same id",
    () => sign({}, { kid: "k1", privateKey: foreign.privateKey }),
    {},
    "BAD_SIGNATURE",
  ],
  [
    "signed by a key nobody named",
    () => sign({}, { kid: "k2", privateKey: foreign.privateKey }),
    {},
    "UNKNOWN_KEY",
  ],
  ["of another type", () => signDocument("saf-trust-root", payload, key), {}, "WRONG_TYPE"],
  ["of another cluster", () => sign({ cluster: "other.example" }), {}, "WRONG_CLUSTER"],
  ["for another node", () => sign({ scope: "node-2" }), {}, "OUT_OF_SCOPE"],
  [
    "of a lower term, though of a higher epoch",
    () => sign({ term: 2, epoch: 99 }),
    { seen: payload },
    "LOWER_TERM",
  ],
  ["of a lower epoch", () => sign({ epoch: 6 }), { seen: payload }, "LOWER_EPOCH"],
  [
    "of an earlier issue of the same epoch",
    () => sign({ issuedAt: NOW - 1 }),
    { seen: payload },
    "LOWER_EPOCH",
  ],
  ["expired beyond the clock skew", () => sign({ issuedAt: NOW - 900, expiresAt: NOW - 301 }), {}, "EXPIRED"],
  ["from the future beyond the clock skew", () => sign({ issuedAt: NOW + 301 }), {}, "NOT_YET_VALID"],
  ["with a body of another shape", () => sign({ body: { says: 1 } }), {}, "INVALID_BODY"],
  ["with a negative term", () => sign({ term: -1 }), {}, "MALFORMED"],
  ["that is no JWS", () => "saf", {}, "MALFORMED"],
  ["over the size limit", () => "x".repeat(MAX_DOCUMENT_BYTES + 1), {}, "TOO_LARGE"],
])("refuses a document %s", async (_, jws, change, code) => {
  expect(await refusal(jws(), change)).toBe(code);
});

test("accepts the same document again, a later issue, and one within the clock skew", async () => {
  await verifyDocument(await sign(), { ...expected, seen: payload });
  await verifyDocument(await sign({ issuedAt: NOW + 1 }), { ...expected, seen: payload });
  await verifyDocument(await sign({ expiresAt: NOW - 299, issuedAt: NOW - 400 }), expected);
});

test("refuses to sign what no node would read", async () => {
  await expect(sign({ body: { says: "x".repeat(MAX_DOCUMENT_BYTES) } })).rejects.toMatchObject({
    code: "TOO_LARGE",
  });
});

test("no change of one character goes unnoticed", async () => {
  const jws = await sign();
  await fc.assert(
    fc.asyncProperty(
      fc.nat(jws.length - 1),
      fc.constantFrom("A", "Z", "a", "z", "0", "9", "-", "_", "."),
      async (at, letter) => {
        fc.pre(jws[at] !== letter);
        const changed = jws.slice(0, at) + letter + jws.slice(at + 1);
        // The last letter of a base64url part may carry padding bits only: then the bytes, and so the document, are the same.
        const same = changed.split(".").every((part, i) => {
          const before = jws.split(".")[i] ?? "";
          return Buffer.from(part, "base64url").equals(Buffer.from(before, "base64url"));
        });
        fc.pre(!same);
        await expect(verifyDocument(changed, expected)).rejects.toBeInstanceOf(DocumentError);
      },
    ),
    { numRuns: 300 },
  );
});

test("garbage is refused with a code", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 300 }), async (text) => {
      await expect(verifyDocument(text, expected)).rejects.toBeInstanceOf(DocumentError);
    }),
  );
});

test("order is total: term, then epoch, then issue time", () => {
  const order = fc.record({ term: fc.nat(3), epoch: fc.nat(3), issuedAt: fc.nat(3) });
  fc.assert(
    fc.property(order, order, order, (a, b, c) => {
      expect(Math.sign(compareOrder(a, b))).toBe(0 - Math.sign(compareOrder(b, a)));
      if (compareOrder(a, b) <= 0 && compareOrder(b, c) <= 0)
        expect(compareOrder(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});

describe("trust root", () => {
  const rootBody = (publicKey = own.publicKey): TrustRootBody => ({
    trustDomain: "home.example",
    ledgerId: "8f14e45f-ceea-467f-a8d8-01a6b9f6e4d3",
    caCertificates: ["-----BEGIN CERTIFICATE-----"],
    signingKeys: [{ kid: "k1", publicKey: rawEd25519(publicKey) }],
  });
  const signRoot = (by: typeof key, content = rootBody()): Promise<string> =>
    signDocument("saf-trust-root", { ...payload, scope: "*", body: content }, by);

  test("the first one must be whole, the next one signed by a key of the one before", async () => {
    const first = await verifyTrustRoot(await signRoot(key), { cluster: "home.example", now: NOW });
    expect(signingKeysOf(first.body).get("k1")?.equals(own.publicKey)).toBe(true);
    const takeover = await signRoot(
      { kid: "k1", privateKey: foreign.privateKey },
      rootBody(foreign.publicKey),
    );
    await expect(
      verifyTrustRoot(takeover, { cluster: "home.example", now: NOW, previous: first.body }),
    ).rejects.toMatchObject({ code: "BAD_SIGNATURE" });
  });

  test("one that claims a key which did not sign it is refused", async () => {
    const forged = await signRoot({ kid: "k1", privateKey: foreign.privateKey });
    await expect(verifyTrustRoot(forged, { cluster: "home.example", now: NOW })).rejects.toMatchObject({
      code: "BAD_SIGNATURE",
    });
    await expect(verifyTrustRoot("x.y.z", { cluster: "home.example", now: NOW })).rejects.toMatchObject({
      code: "MALFORMED",
    });
  });
});

test("the published vectors hold", async () => {
  const vectors = JSON.parse(
    readFileSync(new URL("../../vectors/documents.json", import.meta.url), "utf8"),
  ) as {
    publicKey: string;
    now: number;
    seen: { term: number; epoch: number; issuedAt: number };
    cases: { name: string; jws: string; result: string }[];
  };
  const keys = signingKeysOf({
    trustDomain: "vectors.example",
    ledgerId: "",
    caCertificates: [],
    signingKeys: [{ kid: "vector", publicKey: vectors.publicKey }],
  });
  expect(vectors.cases.length).toBeGreaterThan(5);
  for (const { name, jws, result } of vectors.cases) {
    const outcome = await verifyDocument(jws, {
      type: "saf-node-snapshot",
      cluster: "vectors.example",
      scope: "node-1",
      body: z.unknown(),
      keys,
      now: vectors.now,
      seen: vectors.seen,
    }).then(
      () => "ok",
      (error: unknown) => (error as DocumentError).code,
    );
    expect([name, outcome]).toEqual([name, result]);
  }
});
