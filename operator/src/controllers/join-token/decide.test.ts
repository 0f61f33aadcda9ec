import type { JoinToken } from "@saf/crds";
import { decideToken, ledgerTokenOf } from "./decide.ts";

const NOW_MS = Date.parse("2027-01-15T08:00:00Z");

function token(spec: Partial<JoinToken["spec"]> = {}): JoinToken {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "JoinToken",
    metadata: { name: "rack-7", generation: 1 },
    spec: {
      tokenHash: "sha256:s:h",
      expiresAt: "2027-01-15T09:00:00Z",
      maxUses: 2,
      revoked: false,
      allowedRoles: ["relay"],
      ...spec,
    },
  };
}

const decide = (spec: Partial<JoinToken["spec"]>, uses: number | null = 0, revoked = false) =>
  decideToken({ token: token(spec), known: uses === null ? null : { uses, revoked }, nowMs: NOW_MS });

it.each<[string, string, Partial<JoinToken["spec"]>, number | null]>([
  ["True", "Active", {}, 1],
  ["False", "Exhausted", {}, 2],
  ["False", "Expired", { expiresAt: "2027-01-15T08:00:00Z" }, 0],
  ["False", "Revoked", { revoked: true }, 0],
  ["False", "Revoked", { revoked: true, expiresAt: "2027-01-15T07:00:00Z" }, 2],
  ["False", "NameReused", {}, null],
])("is %s %s", (status, reason, spec, uses) => {
  expect(decide(spec, uses).status.conditions?.[0]).toMatchObject({ type: "Ready", status, reason });
});

it("stays revoked when it is deleted and made again", () => {
  expect(decide({}, 0, true).status.conditions?.[0]).toMatchObject({ status: "False", reason: "Revoked" });
});

it("shows the uses that the ledger counted", () => {
  expect(decide({}, 2).status.uses).toBe(2);
});

it("asks to be looked at again when it expires, and not after", () => {
  expect(decide({}).nextMs).toBe(NOW_MS + 3_600_000);
  expect(decide({ expiresAt: "2027-01-15T07:00:00Z" }).nextMs).toBeNull();
});

it("goes to the ledger in seconds", () => {
  expect(ledgerTokenOf(token())).toMatchObject({
    name: "rack-7",
    hash: "sha256:s:h",
    expiresAt: NOW_MS / 1000 + 3600,
    area: null,
  });
});
