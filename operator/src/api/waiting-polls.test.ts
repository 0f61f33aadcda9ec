import { createWaitingPolls } from "./waiting-polls.ts";

const HOUR_MS = 3_600_000;
const never = new AbortController().signal;

describe("waiting polls", () => {
  it("end together when their request is decided, and no others", async () => {
    const polls = createWaitingPolls(10);
    const mine = [polls.wait("a", HOUR_MS, never), polls.wait("a", HOUR_MS, never)];
    const other = polls.wait("b", HOUR_MS, never);
    polls.wake("a");
    await Promise.all(mine.map(({ over }) => over));
    expect(polls.size).toBe(1);
    other.end();
    expect(polls.size).toBe(0);
  });

  it("end when the time is up and when the client is gone", async () => {
    const polls = createWaitingPolls(10);
    await polls.wait("a", 1, never).over;
    const gone = new AbortController();
    const poll = polls.wait("a", HOUR_MS, gone.signal);
    gone.abort();
    await poll.over;
    expect(polls.size).toBe(0);
  });

  it("are bounded in all and by request: what is one too many ends at once", async () => {
    const polls = createWaitingPolls(3);
    const [oldest, ...others] = [1, 2, 3].map(() => polls.wait("a", HOUR_MS, never));
    await oldest?.over;
    const last = polls.wait("b", HOUR_MS, never);
    expect(polls.size).toBe(3);
    await polls.wait("c", HOUR_MS, never).over;
    expect(polls.size).toBe(3);
    polls.wakeAll();
    await Promise.all([...others, last].map(({ over }) => over));
    expect(polls.size).toBe(0);
  });
});
