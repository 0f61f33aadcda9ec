import { createPrivateKey, createPublicKey } from "node:crypto";
import { generateNodeKey } from "../identity/csr.ts";
import { readSignature, signRequest, verifyRequest } from "./request-signature.ts";

const key = createPrivateKey(generateNodeKey());
const publicKey = createPublicKey(key);
const request = { method: "POST", target: "/v1alpha1/join?x=1", body: "{}" };

test("a signed request verifies, and nothing of it can be changed", () => {
  const given = readSignature(signRequest(request, key, 1_800_000_000));
  if (!given) throw new Error("no signature");
  expect(verifyRequest(request, given, publicKey)).toBe(true);
  for (const change of [{ method: "GET" }, { target: "/v1alpha1/join?x=2" }, { body: "{ }" }]) {
    expect(verifyRequest({ ...request, ...change }, given, publicKey)).toBe(false);
  }
  expect(verifyRequest(request, { ...given, timestamp: given.timestamp + 1 }, publicKey)).toBe(false);
  expect(verifyRequest(request, given, createPublicKey(createPrivateKey(generateNodeKey())))).toBe(false);
});

test("headers that are missing or out of bounds are no signature", () => {
  const headers = signRequest(request, key, 1_800_000_000);
  for (const name of Object.keys(headers)) {
    expect(readSignature({ ...headers, [name]: undefined })).toBeUndefined();
    expect(readSignature({ ...headers, [name]: "!".repeat(5000) })).toBeUndefined();
  }
});
