import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, parseConfig } from "./config.ts";

const least = {
  namespace: "fabric",
  dataDir: "/var/lib/fabric",
  enrolment: { listen: "0.0.0.0:8443" },
  engineSocket: "/run/fabric/engine.sock",
  controlKeyFile: "/run/fabric/control.key",
};

const parse = (changes: object) => parseConfig(JSON.stringify({ ...least, ...changes }));

it("needs little and fills in the rest", () => {
  const config = parse({});
  expect(config).toMatchObject({
    enrolment: { listen: { address: "0.0.0.0", port: 8443 }, advertise: [] },
    lease: { durationMs: 6_000, renewDeadlineMs: 4_000, retryMs: 1_000 },
    logLevel: "info",
  });
  expect(Object.isFrozen(config)).toBe(true);
  expect(config.holder).not.toBe("");
});

it.each([
  ["a field it does not know", { colour: "red" }, /colour/],
  ["a name for an address", { enrolment: { listen: "localhost:8443" } }, /enrolment\.listen/],
  ["a namespace that is none", { namespace: "Fabric_1" }, /namespace/],
  ["another database", { database: { url: "mysql://db" } }, /database\.url/],
  [
    "a lease that cannot be kept",
    { lease: { durationSeconds: 3, renewDeadlineSeconds: 5, retrySeconds: 1 } },
    /lease/,
  ],
])("refuses %s", (_what, changes, message) => {
  expect(() => parse(changes)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringMatching(message) }),
  );
});

it("refuses what is no JSON, and what is too long to be one", () => {
  expect(() => parseConfig("{")).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  expect(() => parseConfig(" ".repeat(70_000))).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
});

describe("the command line", () => {
  let dir: string;
  beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "saf-config-"))));
  afterAll(() => rmSync(dir, { recursive: true }));

  it("names the file", () => {
    const file = join(dir, "operator.json");
    writeFileSync(file, JSON.stringify(least));
    expect(loadConfig(["--config", file]).namespace).toBe("fabric");
  });

  it.each([[[]], [["--config"]], [["--verbose"]]])("is refused as %j", (args) => {
    expect(() => loadConfig(args)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });

  it("says which file cannot be read", () => {
    expect(() => loadConfig(["--config", "/nowhere"])).toThrow(
      expect.objectContaining({ code: "CONFIG_UNREADABLE", message: expect.stringContaining("/nowhere") }),
    );
  });
});
