import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

describe("the database's URL in a file", () => {
  let dir: string;
  beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "saf-config-"))));
  afterAll(() => rmSync(dir, { recursive: true }));

  it("is read through a link, as Secrets are mounted, without the line's end", () => {
    writeFileSync(join(dir, "..data"), "postgresql://saf:hunter2@db:5432/saf?sslmode=require\n");
    symlinkSync("..data", join(dir, "url"));
    expect(parse({ database: { urlFile: join(dir, "url") } }).database).toEqual({
      url: "postgresql://saf:hunter2@db:5432/saf?sslmode=require",
    });
  });

  it.each([
    ["absent", undefined, /absent cannot be read/],
    ["of another kind", "mysql://saf:hunter2@db", /holds no postgresql:\/\/ URL/],
    ["endless", `postgresql://${"x".repeat(5000)}`, /holds no postgresql:\/\/ URL/],
  ])("is refused when it is %s, without a word of it", (name, text, message) => {
    const file = join(dir, name.replaceAll(" ", "-"));
    if (text !== undefined) writeFileSync(file, text);
    const attempt = (): unknown => parse({ database: { urlFile: file } });
    expect(attempt).toThrow(message);
    expect(attempt).not.toThrow(/hunter2/);
  });

  it("stands alone", () => {
    const both = { url: "postgresql://db/saf", urlFile: "/run/url" };
    expect(() => parse({ database: both })).toThrow(/either url or urlFile/);
    expect(() => parse({ database: {} })).toThrow(/either url or urlFile/);
  });
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

  it("says which of several operators this one is", () => {
    const file = join(dir, "operator.json");
    writeFileSync(
      file,
      JSON.stringify({ ...least, service: { name: "fabric-operator", controlPort: 7443 } }),
    );
    expect(loadConfig(["--config", file, "--address", "10.0.0.7", "--node", "a"]).place).toEqual({
      address: "10.0.0.7",
      node: "a",
    });
    expect(() => loadConfig(["--config", file])).toThrow(/--address/);
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
