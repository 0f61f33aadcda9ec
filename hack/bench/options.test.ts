import { BenchError } from "./bench-error.ts";
import { chosen, parseOptions } from "./options.ts";

describe("options", () => {
  it("default to the whole bench", () => {
    expect(parseOptions([])).toMatchObject({ quick: false, rounds: 3, only: [], measures: [], mtu: 1400 });
  });

  it("read lists and numbers", () => {
    const words =
      "--quick --only fabric,tailscale --measures tcp1,ping --rounds 5 --seconds 2 --json out.json";
    expect(parseOptions(words.split(" "))).toMatchObject({
      quick: true,
      only: ["fabric", "tailscale"],
      measures: ["tcp1", "ping"],
      rounds: 5,
      seconds: 2,
      json: "out.json",
    });
    expect(parseOptions(["--contender", "a", "--contender", "b"]).contenders).toEqual(["a", "b"]);
  });

  it.each([
    ["--rounds", "0"],
    ["--rounds", "many"],
    ["--rounds", "1e9"],
    ["--seconds", "0.5"],
    ["--mtu", "100"],
    ["--fast"],
    ["tcp1"],
  ])("refuse %s %s", (...words) => expect(() => parseOptions(words)).toThrow(BenchError));
});

describe("choosing by name", () => {
  const all = [{ name: "tcp1" }, { name: "ping-idle" }, { name: "ping-loaded" }];

  it("takes all without names, and otherwise those that match, in their own order", () => {
    expect(chosen(all, [])).toEqual(all);
    expect(chosen(all, ["ping", "tcp1"], ({ name }, word) => name.startsWith(word))).toEqual(all);
    expect(chosen(all, ["ping-loaded"])).toEqual([{ name: "ping-loaded" }]);
  });

  it("refuses a name that nothing has, and says those that there are", () => {
    expect(() => chosen(all, ["tcp1", "tpc4"])).toThrow("tpc4: there are tcp1, ping-idle, ping-loaded");
  });
});
