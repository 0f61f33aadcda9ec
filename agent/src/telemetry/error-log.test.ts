import { AgentError } from "../errors.ts";
import { createErrorLog } from "./error-log.ts";

describe("createErrorLog", () => {
  it("counts a repeated error and keeps its latest time", () => {
    const log = createErrorLog();
    log.record(new AgentError("STATE_DISK_FULL", "full"), 10);
    log.record(new AgentError("STATE_DISK_FULL", "full"), 20);
    expect(log.list()).toEqual([{ code: "STATE_DISK_FULL", message: "full", at: 20, count: 2 }]);
  });

  it("keeps the newest sixteen, newest first, whatever is thrown", () => {
    const log = createErrorLog();
    for (let index = 0; index < 20; index += 1) log.record(`odd ${index}`, index);
    expect(log.list()).toHaveLength(16);
    expect(log.list()[0]).toEqual({ code: "INTERNAL", message: "odd 19", at: 19, count: 1 });
  });
});
