import { closingLine, tell, type Step } from "./story.ts";

const good: Step<string[]> = { title: "good", run: async (told) => `${told.push("good")}` };
const bad: Step<string[]> = {
  title: "bad",
  run: () => Promise.reject(new Error("no", { cause: new Error("because") })),
};

function tellTo(lines: string[]): { now: () => number; write: (text: string) => void } {
  return { now: () => 0, write: (text) => void lines.push(text) };
}

test("a story whose steps all hold", async () => {
  const outcome = await tell([good, good], [], tellTo([]));
  expect(closingLine("demo", outcome)).toBe("demo: 2 passed, 0 failed");
});

test("the first failure ends the telling and says why", async () => {
  const lines: string[] = [];
  const told: string[] = [];
  const outcome = await tell([good, bad, good, good], told, tellTo(lines));
  expect(told).toEqual(["good"]);
  expect(closingLine("demo", outcome)).toBe("demo: 1 passed, 1 failed, 2 skipped");
  expect(lines.join("")).toContain("because");
});
