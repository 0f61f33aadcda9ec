import { generateKeyPairSync } from "node:crypto";
import { createToken } from "@saf/protocol";
import { redact } from "./redact.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const body = pem.split("\n")[1] ?? "";
const { token } = createToken({ id: "rack-7", pin: "p".repeat(43) });
const secret = token.split(".")[2] ?? "";
const jwt = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.${"s".repeat(86)}`;

it.each([
  ["a private key", pem, body],
  ["a private key in JSON", JSON.stringify({ note: pem }), body],
  ["a private key that is cut off", pem.slice(0, 90), body.slice(0, 20)],
  ["a join token", `cannot use ${token} here`, secret],
  ["a join token in JSON", JSON.stringify({ message: `'${token}'` }), secret],
  ["a service account's token", `x ${jwt} y`, jwt.slice(20)],
  ["a header", `Authorization: Bearer abcdefghijklmnop`, "abcdefghijklmnop"],
  ["a database's address", "postgresql://fabric:hunter22@db.example:5432/ledger", "hunter22"],
  ["a token's hash", "sha256:c2FsdHNhbHQ:aGFzaGhhc2hoYXNoaGFzaGhhc2g", "aGFzaGhhc2g"],
  ["a value named secret", '{"joinSecret": "a\\"b", "x": 1}', 'a\\"b'],
  ["a value named password", "connect password=hunter22 host=db", "hunter22"],
])("takes out %s", (_, text, gone) => {
  expect(gone.length).toBeGreaterThan(3);
  expect(text).toContain(gone);
  expect(redact(text)).not.toContain(gone);
});

it("leaves what helps: ids of tokens, hosts, names of files, fingerprints", () => {
  const fingerprint = "9f".repeat(32);
  const text = `token rack-7 of https://op.example:8443 in /etc/fabric/token, key ${fingerprint}, "tokenFile":"/etc/fabric/token"`;
  expect(redact(text)).toBe(text);
  expect(redact(token)).toMatch(/^saf1\.rack-7\./);
  expect(redact("postgresql://fabric:x@db.example/ledger")).toContain("@db.example/ledger");
});
