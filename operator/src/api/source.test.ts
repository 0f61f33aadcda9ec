import { sourceOf } from "./source.ts";

describe("the source of a connection", () => {
  it("is the IPv4 address, however the socket shows it", () => {
    expect(sourceOf("192.0.2.1")).toBe("192.0.2.1");
    expect(sourceOf("::ffff:192.0.2.1")).toBe("192.0.2.1");
  });

  it("is one for all addresses of an IPv6 /64", () => {
    expect(sourceOf("2001:db8:1:2::1")).toBe(sourceOf("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    expect(sourceOf("2001:db8:1:2::1")).not.toBe(sourceOf("2001:db8:1:3::1"));
    expect(sourceOf("fe80::1%eth0")).toBe(sourceOf("fe80::2"));
  });

  it("is something even when the socket is gone", () => {
    expect(sourceOf(undefined)).toBe("unknown");
  });
});
