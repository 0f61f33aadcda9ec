import net from "node:net";
import type { AddressInfo } from "node:net";
import { createTestAuthority, type TestAuthority } from "../testing/test-authority.ts";
import { startTestEnrolmentServer, type TestEnrolmentServer } from "../testing/test-enrolment-server.ts";
import { findPinnedAuthority, operatorTrustDomain } from "./pinned-authority.ts";
import { parseServerAddress } from "./server-address.ts";

const { signal } = new AbortController();
let authority: TestAuthority;
let servers: TestEnrolmentServer[];
beforeAll(async () => {
  authority = await createTestAuthority();
});
beforeEach(() => {
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

async function serve(
  options: Partial<Parameters<typeof startTestEnrolmentServer>[0]> = {},
): Promise<TestEnrolmentServer> {
  const server = await startTestEnrolmentServer({ authority, ...options });
  servers.push(server);
  return server;
}
const find = (server: TestEnrolmentServer, pin = authority.pin, nowMs = Date.now()) =>
  findPinnedAuthority(parseServerAddress(server.url), pin, nowMs, signal);

describe("findPinnedAuthority", () => {
  it("finds the authority that has the token's pin, and the cluster's name", async () => {
    const found = await find(await serve());
    expect(found.trustDomain).toBe("demo.example");
    expect(found.certificatePem.replaceAll(/\s/g, "")).toBe(authority.caCertificatePem.replaceAll(/\s/g, ""));
  });

  it("refuses a server of another authority without sending it a request", async () => {
    const other = await createTestAuthority("demo.example");
    const server = await serve({ authority: other });
    await expect(find(server)).rejects.toMatchObject({ code: "PIN_MISMATCH" });
    expect(server.connections()).toBe(1); // it did look
    expect(server.requests).toEqual([]);
  });

  it("refuses a server that shows the pinned authority but was issued by another", async () => {
    const other = await createTestAuthority("demo.example");
    const server = await serve({ certificate: await other.issueServer() });
    await expect(find(server)).rejects.toMatchObject({ code: "SERVER_UNTRUSTED" });
    expect(server.requests).toEqual([]);
  });

  it("does not take a node of the same cluster for its operator", async () => {
    const uri = "spiffe://demo.example/node/6a6f2d9c-6f0e-4d3e-9a55-0d8f5f3e2b11";
    const server = await serve({ certificate: await authority.issueServer(uri) });
    await expect(find(server)).rejects.toMatchObject({ code: "SERVER_UNTRUSTED" });
  });

  it("refuses a leaf that has the pinned key but is no authority", async () => {
    const leaf = await authority.issueServer();
    const server = await serve({ certificate: leaf, chain: "" });
    await expect(find(server)).rejects.toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("refuses a certificate outside its validity", async () => {
    const past = { notBefore: new Date(0), notAfter: new Date(Date.now() - 1000) };
    const server = await serve({ certificate: await authority.issueServer(undefined, past) });
    await expect(find(server)).rejects.toMatchObject({ code: "SERVER_UNTRUSTED" });
  });

  it("reports a server that is not there, and one that does not speak TLS", async () => {
    const server = await serve();
    await server.close();
    servers = [];
    await expect(find(server)).rejects.toMatchObject({ code: "SERVER_UNREACHABLE" });
    const plain = net.createServer((socket) => socket.resume().end("hello\n"));
    await new Promise<void>((resolve) => {
      plain.listen(0, "127.0.0.1", resolve);
    });
    const { port } = plain.address() as AddressInfo;
    const address = { host: "127.0.0.1", port };
    await expect(findPinnedAuthority(address, authority.pin, Date.now(), signal)).rejects.toMatchObject({
      code: "SERVER_UNREACHABLE",
    });
    await new Promise((resolve) => {
      plain.close(resolve);
    });
  });
});

describe("operatorTrustDomain", () => {
  it.each([
    ["URI:spiffe://demo.example/operator/control", "demo.example"],
    ["DNS:localhost, URI:spiffe://demo.example/operator/control, IP Address:127.0.0.1", "demo.example"],
    ["URI:spiffe://demo.example/operator/control/more", undefined],
    ["URI:spiffe://demo.example/node/x", undefined],
    ["DNS:spiffe://demo.example/operator/control", undefined],
    [undefined, undefined],
  ])("reads %s as %s", (names, trustDomain) => {
    expect(operatorTrustDomain(names)).toBe(trustDomain);
  });
});

describe("parseServerAddress", () => {
  it.each([
    ["https://192.0.2.1:8443", { host: "192.0.2.1", port: 8443 }],
    ["https://[2001:db8::1]:8443/", { host: "2001:db8::1", port: 8443 }],
    ["https://fabric.example:443", { host: "fabric.example", port: 443 }],
  ])("reads %s", (text, address) => {
    expect(parseServerAddress(text)).toEqual(address);
  });

  it.each([
    "http://192.0.2.1:8443",
    "192.0.2.1:8443",
    "https://a:b@c:1",
    "https://x/y",
    "",
    `https://${"x".repeat(600)}`,
  ])("refuses %s", (text) => {
    expect(() => parseServerAddress(text)).toThrow(expect.objectContaining({ code: "REQUEST_INVALID" }));
  });
});
