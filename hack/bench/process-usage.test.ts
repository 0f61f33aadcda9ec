import { cpuSeconds, largestResidentBytes, parseCpuSeconds, parseResidentBytes } from "./process-usage.ts";

describe("what a process costs", () => {
  it("adds user and system time, whatever the process is called", () => {
    const stat = "4711 (a) R (b) S 1 4711 4711 0 -1 4194560 500 0 0 0 250 125 9 9 20 0 7 0 100 0 0";
    expect(parseCpuSeconds(stat)).toBe(3.75);
  });

  it.each(["", "4711 (x) S 1"])("refuses %j", (text) =>
    expect(() => parseCpuSeconds(text)).toThrow(TypeError),
  );

  it("reads resident memory", () => {
    expect(parseResidentBytes("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  512 kB\n")).toBe(524_288);
    expect(() => parseResidentBytes("Name:\tx\n")).toThrow(TypeError); // a zombie has none
  });

  it("reads this process", () => {
    expect(cpuSeconds([process.pid])).toBeGreaterThan(0);
    expect(largestResidentBytes([process.pid, process.ppid])).toBeGreaterThan(1 << 20);
  });
});
