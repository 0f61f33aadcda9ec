import { limitsIn } from "./limits.ts";

test("a bound brings its value and the comment right above it", () => {
  const source = `
/** Three are
 * enough. */
export const MAX_TRIES = 3;
/// Half a second.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_millis(500);
const NAME = "x";`;
  expect(limitsIn("a.ts", source)).toEqual([
    { name: "`MAX_TRIES`", value: "`3`", reason: "Three are enough." },
    { name: "`STOP_TIMEOUT`", value: "`Duration::from_millis(500)`", reason: "Half a second." },
  ]);
});

test("a bound without a reason of its own is an error", () => {
  expect(() => limitsIn("a.ts", "/** Why. */\nconst MAX_A = 1;\nconst MAX_B = 2;\n")).toThrow("MAX_B");
});
