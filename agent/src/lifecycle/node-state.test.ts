import fc from "fast-check";
import { INITIAL_NODE, reduce, tell, type NodeEvent, type ToldState } from "./node-state.ts";

const reason = (code: string) => ({ code, message: code });
const engineWorking: NodeEvent = { type: "engineWorking" };
const member: readonly NodeEvent[] = [engineWorking, { type: "joined" }];
const living: readonly NodeEvent[] = [...member, { type: "snapshotApplied" }];
const running: readonly NodeEvent[] = [...living, { type: "operatorHeard" }];
const after = (...events: readonly NodeEvent[]): ToldState => tell(events.reduce(reduce, INITIAL_NODE));

describe("tell", () => {
  it.each<[string, readonly NodeEvent[], string, string | null]>([
    ["nothing happened", [], "unenrolled", null],
    ["a join began", [{ type: "joinStarted" }], "joining", null],
    [
      "a join is delayed",
      [{ type: "joinStarted" }, { type: "joinDelayed", reason: reason("SERVER_UNREACHABLE") }],
      "joining",
      "SERVER_UNREACHABLE",
    ],
    [
      "its request was taken",
      [
        { type: "joinStarted" },
        { type: "joinDelayed", reason: reason("SERVER_UNREACHABLE") },
        { type: "joinAccepted" },
      ],
      "pending",
      null,
    ],
    [
      "its token was refused",
      [{ type: "joinStarted" }, { type: "joinRefused", reason: reason("TOKEN_EXPIRED") }],
      "unenrolled",
      "TOKEN_EXPIRED",
    ],
    [
      "a person denied it",
      [{ type: "joinAccepted" }, { type: "joinDenied", reason: "not ours" }],
      "denied",
      "DENIED",
    ],
    ["approved, no snapshot yet", member, "joining", "SNAPSHOT_AWAITED"],
    ["living by the snapshot on disk", living, "degraded", "OPERATOR_UNHEARD"],
    ["the operator acknowledged", running, "running", null],
    ["the operator fell silent", [...running, { type: "operatorSilent" }], "degraded", "OPERATOR_SILENT"],
    ["and spoke again", [...running, { type: "operatorSilent" }, { type: "operatorHeard" }], "running", null],
    [
      "the engine is away",
      [...running, { type: "engineFailing", reason: reason("ENGINE_UNREACHABLE") }],
      "degraded",
      "ENGINE_UNREACHABLE",
    ],
    [
      "and back",
      [...running, { type: "engineFailing", reason: reason("ENGINE_UNREACHABLE") }, engineWorking],
      "running",
      null,
    ],
    [
      "the disk is full",
      [...running, { type: "storageFailing", reason: reason("STATE_DISK_FULL") }],
      "degraded",
      "STATE_DISK_FULL",
    ],
    [
      "and has room again",
      [...running, { type: "storageFailing", reason: reason("STATE_DISK_FULL") }, { type: "storageWorking" }],
      "running",
      null,
    ],
    [
      "the snapshot ran out",
      [...running, { type: "operatorSilent" }, { type: "snapshotExpired" }],
      "expired",
      "SNAPSHOT_EXPIRED",
    ],
    [
      "and a new one came",
      [...running, { type: "snapshotExpired" }, { type: "snapshotApplied" }],
      "running",
      null,
    ],
    [
      "the certificate ran out",
      [...running, { type: "certificateExpired" }],
      "expired",
      "CERTIFICATE_EXPIRED",
    ],
    [
      "and was renewed after all",
      [...running, { type: "certificateExpired" }, { type: "certificateRenewed" }],
      "running",
      null,
    ],
    ["it was revoked", [...running, { type: "revoked", reason: "stolen" }], "revoked", "REVOKED"],
    [
      "its membership is unreadable",
      [{ type: "membershipLost", reason: reason("STATE_CORRUPT") }],
      "expired",
      "STATE_CORRUPT",
    ],
    [
      "a revoked node joins anew",
      [...running, { type: "revoked", reason: "x" }, { type: "joinStarted" }],
      "joining",
      null,
    ],
  ])("%s", (_name, events, state, code) => {
    const told = after(...events);
    expect([told.state, told.reason?.code ?? null]).toEqual([state, code]);
  });

  it("keeps the operator's words", () => {
    expect(after({ type: "joinDenied", reason: "not one of ours" }).reason?.message).toBe("not one of ours");
    expect(after(...running, { type: "revoked", reason: "stolen laptop" }).reason?.message).toBe(
      "stolen laptop",
    );
  });

  it("lets nothing but a new join end a revocation", () => {
    const event = fc.constantFrom<NodeEvent>(
      { type: "snapshotApplied" },
      { type: "snapshotExpired" },
      { type: "certificateRenewed" },
      { type: "operatorHeard" },
      { type: "operatorSilent" },
      engineWorking,
      { type: "engineFailing", reason: reason("ENGINE_UNREACHABLE") },
      { type: "storageFailing", reason: reason("STATE_DISK_FULL") },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), (events) => {
        expect(after(...running, { type: "revoked", reason: "x" }, ...events).state).toBe("revoked");
      }),
    );
  });
});
