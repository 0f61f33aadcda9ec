import { BenchError } from "../bench-error.ts";
import { fillIn, parseDescriptions } from "./described.ts";

const mine = { name: "mine", left: ["/bin/mine", "{tun}"], right: ["/bin/mine", "{tun}"] };

describe("a contender's description", () => {
  it("may be one or several, and has defaults", () => {
    const [one] = parseDescriptions(JSON.stringify(mine));
    expect(one).toEqual({ ...mine, version: "-", mtu: 1400, env: {} });
    expect(parseDescriptions(JSON.stringify([mine, { ...mine, name: "other" }]))).toHaveLength(2);
  });

  it.each([
    ["no JSON", "{"],
    ["no command", JSON.stringify({ ...mine, left: [] })],
    ["a name that is a path", JSON.stringify({ ...mine, name: "../mine" })],
    ["a word that nobody knows", JSON.stringify({ ...mine, lfet: [] })],
    ["a number", "7"],
  ])("refuses %s", (_, text) => expect(() => parseDescriptions(text)).toThrow(BenchError));

  it("fills in what is known and leaves other braces alone", () => {
    expect(
      fillIn(["--dev={tun}", "{peer}", '{"a":1}', "{who}"], { tun: "bench5", peer: "1.2.3.4:5" }),
    ).toEqual(["--dev=bench5", "1.2.3.4:5", '{"a":1}', "{who}"]);
  });
});
