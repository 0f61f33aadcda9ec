/** What people type and read: durations, tables, sizes, and text that must not play tricks on a terminal. */
import fc from "fast-check";
import { formatDuration, formatMoment, parseDuration } from "./duration.ts";
import { printable } from "./printable.ts";
import { formatBytes, formatMicros } from "./quantity.ts";
import { formatFields, formatTable } from "./table.ts";

describe("durations", () => {
  it.each([
    ["90s", 90],
    ["30m", 1800],
    ["1h30m", 5400],
    ["7d", 604_800],
    ["1d1h1m1s", 90_061],
  ])("reads %s", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(["", "0s", "1", "h", "1h 30m", "-1h", "30m1h", "1.5h", "1w", "99999999999999999999s"])(
    "refuses %p",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it("writes what it reads, to the two largest units", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9999 * 86_400 }), (seconds) => {
        const written = parseDuration(formatDuration(seconds)) ?? 0;
        expect(written).toBeLessThanOrEqual(seconds);
        expect(seconds - written).toBeLessThan(seconds < 3600 ? 1 : seconds < 86_400 ? 60 : 3600);
      }),
    );
  });

  it("says before and after", () => {
    expect(formatMoment(160, 100)).toBe("in 1m");
    expect(formatMoment(100, 7300)).toBe("2h ago");
    expect(formatDuration(-5)).toBe("0s");
  });
});

describe("tables", () => {
  it("aligns columns and marks what is empty", () => {
    const text = formatTable(
      ["NAME", "N"],
      [
        ["a-long-name", 1],
        ["b", null],
      ],
    );
    expect(text).toBe("NAME          N\na-long-name   1\nb             -");
  });

  it("keeps each row on its line, whatever a host calls itself", () => {
    const text = formatTable(["NAME"], [["evil\n\u001b[2Kgood"], ["\u202egnp.exe"]]);
    expect(text).toBe("NAME\nevil [2Kgood\n gnp.exe");
    expect(formatFields([["Reason", "a\r\nb"]])).toBe("Reason   a b");
  });

  it("never lets a control character through", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/\p{Cc}/u.test(printable(text))));
  });
});

describe("quantities", () => {
  it("stays short", () => {
    expect([0, 999, 1500, 2e8, 3e15].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.5 kB",
      "200.0 MB",
      "3000.0 TB",
    ]);
    expect([850, 12_300].map(formatMicros)).toEqual(["850 µs", "12.3 ms"]);
  });
});
