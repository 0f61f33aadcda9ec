import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseConfig, readConfig } from "./config.ts";

const minimal = {
  nodeName: "home-a",
  stateDir: "/var/lib/saf",
  engineSocket: "/run/saf/engine.sock",
  apiSocket: "/run/saf/api.sock",
};

describe("parseConfig", () => {
  it("fills in defaults and freezes the result", () => {
    const config = parseConfig(JSON.stringify(minimal));
    expect(config).toMatchObject({ ...minimal, listenPort: 7443, advertise: [], logLevel: "info" });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it.each<[string, object]>([
    ["nodeName", { nodeName: "Home A" }],
    ["stateDir", { stateDir: "relative" }],
    ["apiSocket", { apiSocket: `/${"x".repeat(120)}` }],
    ["join.server", { join: { server: "http://x", tokenFile: "/t" } }],
    ["join", { join: { server: "https://x:8443" } }],
    ["pinFile", { join: { server: "https://x:8443", serviceAccountTokenFile: "/t" } }],
    ["tokenFile", { join: { server: "https://x:8443", tokenFile: "/t", pinFile: "/p" } }],
    [
      "tokenFile",
      { join: { server: "https://x:8443", tokenFile: "/t", serviceAccountTokenFile: "/t", pinFile: "/p" } },
    ],
    ["advertise", { advertise: ["example.com:7443"] }],
    ["listenPort", { listenPort: 0 }],
    ["suprise", { suprise: true }],
  ])("refuses a bad %s and names it", (field, overrides) => {
    const parse = () => parseConfig(JSON.stringify({ ...minimal, ...overrides }));
    expect(parse).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    expect(parse).toThrow(field);
  });

  it("takes the name from a Kubernetes Node, whatever the file says", () => {
    const nameless = { ...minimal, nodeName: undefined };
    for (const config of [minimal, nameless])
      expect(parseConfig(JSON.stringify(config), "worker-1.example.net").nodeName).toBe(
        "worker-1-example-net",
      );
    expect(() => parseConfig(JSON.stringify(nameless))).toThrow("nodeName");
    expect(() => parseConfig(JSON.stringify(minimal), "Worker")).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: expect.stringContaining("--node-name") as string,
      }),
    );
    expect(() => parseConfig("[]", "worker-1")).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });

  it("takes a pod's files in place of a join token", () => {
    const join = { server: "https://x:8443", serviceAccountTokenFile: "/t", pinFile: "/p" };
    expect(parseConfig(JSON.stringify({ ...minimal, join })).join).toEqual({ ...join, requestedRoles: [] });
  });

  it("refuses what is not JSON", () => {
    expect(() => parseConfig("{")).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });
});

describe("readConfig", () => {
  it("reports a file that is missing or too large with its code", async () => {
    await expect(readConfig("/nonexistent/agent.json")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-config-"));
    const large = path.join(folder, "agent.json");
    await fs.writeFile(large, " ".repeat(70_000));
    await expect(readConfig(large)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await fs.rm(folder, { recursive: true });
  });
});
