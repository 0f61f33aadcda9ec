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
  ["a variable", "PGPASSWORD=hunter22 AWS_SECRET_ACCESS_KEY=x", "hunter22"],
  ["a variable named by more than one word", "DB_PASSWORD=hunter22", "hunter22"],
  ["an access key", "AWS_SECRET_ACCESS_KEY=hunter22", "hunter22"],
  ["a value in quotes", 'password="two hunter22"', "hunter22"],
  ["a value in single quotes", "password: 'two hunter22'", "hunter22"],
  ["a value of YAML", "user:\n  password: hunter22\n", "hunter22"],
  ["a value whose name has an underscore", '{"access_token":"hunter22"}', "hunter22"],
  ["a value whose name has a dash", '{"client-secret": "hunter22"}', "hunter22"],
  [
    "a value in JSON in JSON",
    JSON.stringify({ line: JSON.stringify({ password: 'a"hunter22' }) }),
    "hunter22",
  ],
  ["a value that is cut off", '{"password": "hunter22', "hunter22"],
  ["a password with an @ in it", "postgresql://fabric:hunt@hunter22@db.example/ledger", "hunter22"],
  ["a password with a / in it", "postgresql://fabric:hunt/hunter22@db.example/ledger", "hunter22"],
  ["a kubeconfig's key", `client-key-data: ${Buffer.from(pem).toString("base64")}`, "LS0t"],
  ["a Secret's key", `key: ${Buffer.from(pem).toString("base64")}`, "LS0t"],
  [
    "a PGP key",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter22\n-----END PGP PRIVATE KEY BLOCK-----",
    "hunter22",
  ],
  ["another header", "Proxy-Authorization: Negotiate hunter22", "hunter22"],
  ["an argument", "psql --password hunter22 db", "hunter22"],
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
  const json = '{"token": null, "tokenName": "rack-7", "secrets": 3, "joinToken": {"uses": 1}}';
  expect(redact(json)).toBe(json);
});

it.each(["a", "-", "token", "saf1.", "eyJ", "://", 'token\\"', "-----BEGIN "])(
  "takes no longer than it must for much of %j",
  (text) => {
    const startedMs = performance.now();
    redact(text.repeat(300_000 / text.length));
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  },
);
