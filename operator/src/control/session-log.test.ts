import type { Log } from "../telemetry/log.ts";
import { createFleet } from "./fleet.ts";
import { createSessionLog } from "./session-log.ts";

it("gives each session an id, from its beginning to its end", () => {
  const lines: object[] = [];
  const events: string[] = [];
  const fleet = createFleet();
  let number = 0;
  const { idOf } = createSessionLog({
    fleet,
    identities: { byId: () => ({ nodeName: "home-a" }) as never },
    log: { info: (fields: object, message: string) => lines.push({ ...fields, message }) } as unknown as Log,
    metrics: { session: (event) => events.push(event) },
    newId: () => `session-${(number += 1)}`,
  });
  fleet.sessionReady("id-a", "203.0.113.7:1", 0);
  expect(idOf("id-a")).toBe("session-1");
  fleet.sessionReady("id-a", "203.0.113.7:1", 1); // told again: the same session
  fleet.sessionReady("id-a", "203.0.113.9:1", 2);
  fleet.sessionClosed("id-a");
  expect(idOf("id-a")).toBeUndefined();
  expect(lines).toMatchObject([
    { node: "home-a", nodeId: "id-a", session: "session-1", message: "control session ready" },
    { session: "session-2", replaces: "session-1", message: "control session ready" },
    { session: "session-2", message: "control session closed" },
  ]);
  expect(events).toEqual(["ready", "ready", "closed"]);
});
