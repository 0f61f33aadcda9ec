import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { createCsr, generateNodeKey, importKeyPair, verifyCsr } from "./csr.ts";
import { fingerprintOfKey } from "./fingerprint.ts";
import { x509 } from "./x509.ts";

const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

test("a request proves possession of its key", async () => {
  const key = generateNodeKey();
  const { fingerprint } = await verifyCsr(await createCsr(key, "home-a"));
  expect(fingerprint).toBe(fingerprintOfKey(createPrivateKey(key)));
});

test("a request that asks for a name is refused", async () => {
  const forged = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=home-a",
    keys: await importKeyPair(createPrivateKey(generateNodeKey())),
    signingAlgorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: "spiffe://home.example/operator/control" },
      ]),
    ],
  });
  await expect(verifyCsr(forged.toString("pem"))).rejects.toMatchObject({ code: "CSR_FORBIDDEN_SAN" });
});

test("another key's signature, another curve and garbage are refused", async () => {
  const mine = Buffer.from(
    new x509.Pkcs10CertificateRequest(await createCsr(generateNodeKey(), "a")).rawData,
  );
  mine[mine.length - 1] = (mine[mine.length - 1] ?? 0) ^ 1;
  const damaged = x509.PemConverter.encode(mine, "CERTIFICATE REQUEST");
  await expect(verifyCsr(damaged)).rejects.toMatchObject({ code: "CSR_INVALID" });

  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({
    type: "pkcs8",
    format: "pem",
  });
  await expect(createCsr(p384 as string, "a").then(verifyCsr)).rejects.toThrow();

  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
      await expect(verifyCsr(text)).rejects.toMatchObject({ code: "CSR_INVALID" });
    }),
    { numRuns: 50 },
  );
  await expect(verifyCsr("x".repeat(5000))).rejects.toMatchObject({ code: "CSR_INVALID" });
});
