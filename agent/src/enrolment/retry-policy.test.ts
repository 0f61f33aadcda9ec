import { AgentError, EnrolmentRefused, type AgentErrorCode } from "../errors.ts";
import { endsJoin } from "./retry-policy.ts";

const fresh = { accepted: false, byToken: true, elapsedMs: 0 };
const accepted = { accepted: true, byToken: true, elapsedMs: 0 };
const pod = { accepted: false, byToken: false, elapsedMs: 0 };
const refused = (code: string, status: number) => new EnrolmentRefused(code, status, code);

describe("endsJoin", () => {
  it.each([
    ["TOKEN_EXPIRED", 403],
    ["TOKEN_REVOKED", 403],
    ["TOKEN_EXHAUSTED", 403],
    ["WRONG_CLUSTER", 403],
    ["ROLE_NOT_ALLOWED", 403],
    ["NODE_NAME_TAKEN", 409],
    ["BODY_TOO_LARGE", 413],
    ["CSR_KEY_MISMATCH", 400],
  ])("ends on %s", (code, status) => {
    expect(endsJoin(refused(code, status), fresh)).toBe(true);
  });

  it.each([
    ["RATE_LIMITED", 429],
    ["REPLAYED", 409],
    ["TIMESTAMP_OUT_OF_RANGE", 401],
    ["LEDGER_UNAVAILABLE", 503],
    ["NOT_LEADING", 503],
    ["INTERNAL", 500],
    ["SOMETHING_NEW", 500],
  ])("tries again after %s", (code, status) => {
    expect(endsJoin(refused(code, status), fresh)).toBe(false);
  });

  it("gives a token that the ledger does not know yet a moment to arrive", () => {
    expect(endsJoin(refused("TOKEN_UNKNOWN", 401), fresh)).toBe(false);
    expect(endsJoin(refused("TOKEN_UNKNOWN", 401), { ...fresh, elapsedMs: 31_000 })).toBe(true);
  });

  it.each<[AgentErrorCode, boolean, boolean]>([
    ["SERVER_UNREACHABLE", false, false],
    ["SERVER_RESPONSE_INVALID", false, false],
    ["STATE_DISK_FULL", false, false],
    ["PIN_MISMATCH", true, false],
    ["SERVER_UNTRUSTED", true, false],
    ["MEMBERSHIP_INVALID", true, true],
    ["CERTIFICATE_INVALID", true, true],
  ])("%s ends it: %s, once accepted: %s", (code, before, after) => {
    expect(endsJoin(new AgentError(code, code), fresh)).toBe(before);
    expect(endsJoin(new AgentError(code, code), accepted)).toBe(after);
  });

  it("waits through anything but a decision once accepted", () => {
    expect(endsJoin(refused("TOKEN_EXPIRED", 403), accepted)).toBe(false);
    expect(endsJoin(refused("NOT_FOUND", 404), accepted)).toBe(false);
    expect(endsJoin(refused("REVOKED", 403), accepted)).toBe(true);
  });

  it.each([
    ["SERVICE_ACCOUNTS_OFF", 403],
    ["SERVICE_ACCOUNT_TOKEN_REFUSED", 401],
    ["SOURCE_NOT_NODE", 403],
    ["POD_ALREADY_USED", 409],
    ["NODE_NAME_TAKEN", 409],
    ["WRONG_CLUSTER", 403],
  ])("a pod waits through %s", (code, status) => {
    expect(endsJoin(refused(code, status), pod)).toBe(false);
  });

  it.each<[AgentErrorCode, boolean]>([
    ["TOKEN_UNREADABLE", false],
    ["PIN_UNREADABLE", false],
    ["PIN_MISMATCH", false],
    ["SERVER_UNTRUSTED", false],
    ["MEMBERSHIP_INVALID", true],
  ])("a pod: %s ends it: %s", (code, ends) => {
    expect(endsJoin(new AgentError(code, code), pod)).toBe(ends);
    expect(endsJoin(refused("REVOKED", 403), pod)).toBe(true);
    expect(endsJoin(new TypeError("a fault of ours"), pod)).toBe(true);
  });
});
