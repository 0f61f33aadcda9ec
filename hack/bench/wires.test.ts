import { rules } from "./wires.ts";

describe("the rules of a wire", () => {
  it("drop nothing, some or all", () => {
    expect(rules("path1", {})).not.toContain("drop");
    expect(rules("path1", { lossPercent: 0.5 })).toContain("numgen random mod 100000 < 500 drop");
    expect(rules("path2", { silent: true })).toMatch(/device "path2"[^\n]*\n {4}drop\n/);
  });

  it("take the place of those that were there", () => {
    expect(rules("path1", {})).toMatch(/^table netdev bench_path1\ndelete table netdev bench_path1\ntable/);
  });
});
