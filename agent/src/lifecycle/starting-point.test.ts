import { startingPoint, type Found } from "./starting-point.ts";

const nothing: Found = {
  membership: null,
  attempt: null,
  fingerprint: "key",
  offeredTokenId: null,
  byServiceAccount: false,
};
const pod = { byServiceAccount: true };
const deniedPod = { tokenId: null, denied: { reason: "not ours" } };
const member = { fingerprint: "key", revoked: null };
const undecided = { tokenId: "lab", denied: null };
const denied = { tokenId: "lab", denied: { reason: "not ours" } };

it.each<[string, Partial<Found>, string]>([
  ["nothing found", {}, "idle"],
  ["a token offered", { offeredTokenId: "lab" }, "join"],
  ["a member", { membership: member }, "live"],
  ["a member, its old token still lying there", { membership: member, offeredTokenId: "lab" }, "live"],
  ["a member whose key is another", { membership: { ...member, fingerprint: "other" } }, "keyLost"],
  ["a revoked member", { membership: { fingerprint: "other", revoked: { reason: "x" } } }, "live"],
  ["an undecided attempt", { attempt: undecided }, "resumeJoin"],
  ["an undecided attempt to replace a membership", { attempt: undecided, membership: member }, "resumeJoin"],
  ["a denied attempt", { attempt: denied }, "denied"],
  ["a denied attempt and the same token", { attempt: denied, offeredTokenId: "lab" }, "denied"],
  ["a pod", pod, "join"],
  ["a pod's successor on a member", { ...pod, membership: member }, "live"],
  ["a pod on a member whose key is another", { ...pod, membership: { ...member, fingerprint: "o" } }, "join"],
  [
    "a pod on a revoked member",
    { ...pod, membership: { fingerprint: "key", revoked: { reason: "x" } } },
    "join",
  ],
  ["a pod that was denied", { ...pod, attempt: deniedPod }, "denied"],
  ["a denied pod and a token", { ...pod, attempt: deniedPod, offeredTokenId: "lab" }, "join"],
  ["a denied attempt and another token", { attempt: denied, offeredTokenId: "new" }, "join"],
])("%s", (_name, found, expected) => {
  expect(startingPoint({ ...nothing, ...found })).toBe(expected);
});
