import { addCounts, countOfCargo, countOfChecks, countOfJest, countOfSummary } from "./test-count.ts";

describe("what a tool says at its end", () => {
  it("is the last summary of that name", () => {
    const output = "demo: 1 passed, 0 failed\nmore\ndemo: 31 passed, 2 failed\nother: 9 passed, 9 failed\n";
    expect(countOfSummary("demo", output)).toEqual({ passed: 31, failed: 2 });
    expect(countOfSummary("demo", "the demo: 31 passed, 2 failed")).toBeUndefined();
  });

  it("is the sum of cargo's binaries", () => {
    const output = `test result: ok. 55 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s`;
    expect(countOfCargo(output)).toEqual({ passed: 58, failed: 1 });
    expect(countOfCargo("error: could not compile")).toBeUndefined();
  });

  it("is jest's line of tests, whatever words it has", () => {
    expect(countOfJest("Tests:       2 failed, 1 skipped, 19 passed, 22 total\n")).toEqual({
      passed: 19,
      failed: 2,
    });
    expect(countOfJest("Tests:       7 passed, 7 total\n")).toEqual({ passed: 7, failed: 0 });
    expect(countOfJest("Test Suites: 7 passed, 7 total\n")).toBeUndefined();
  });

  it("is one line for each static check", () => {
    expect(countOfChecks("ok    0.1 s  a\nFAIL  0.1 s  b\n     ok not this\nok    2 s  c\n")).toEqual({
      passed: 2,
      failed: 1,
    });
    expect(countOfChecks("check: all passed in 0 s")).toBeUndefined();
  });

  it("adds up", () => {
    expect(addCounts({ passed: 1, failed: 2 }, { passed: 3, failed: 4 })).toEqual({ passed: 4, failed: 6 });
  });
});
