import { bareAddress, checkTopology, fabricTopology } from "./topology.ts";

describe("a topology", () => {
  const { networks, routers, hosts } = fabricTopology;
  const on = (network: string, address = "203.0.113.99/24") => ({ network, address, gateway: "203.0.113.1" });

  it("of the fabric's lab is sound", () => {
    expect(() => checkTopology(fabricTopology)).not.toThrow();
    expect(bareAddress(hosts["home-a"]!.address)).toBe("192.168.77.11");
  });

  it.each([
    ["an undefined network", { x: on("intranet") }, "is not defined"],
    ["an address given twice", { x: on("internet", hosts["usa-1"]!.address) }, "given twice"],
    ["a name defined twice", { "home-lan": on("internet") }, "defined twice"],
    ["a name too long for an interface", { "a-very-long-name": on("internet") }, "names are"],
    ["the bridge's name", { bridge: on("internet") }, "names are"],
    ["a name that leaves the lab's directory", { "../x": on("internet") }, "names are"],
  ])("with %s is refused", (_what, extra, message) => {
    const broken = { networks, routers, hosts: { ...hosts, ...extra } };
    expect(() => checkTopology(broken)).toThrow(expect.objectContaining({ code: "TOPOLOGY_INVALID" }));
    expect(() => checkTopology(broken)).toThrow(message);
  });
});
