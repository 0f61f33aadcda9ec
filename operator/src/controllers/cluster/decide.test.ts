import type { Cluster, ClusterStatus } from "@saf/crds";
import { decideCluster, objectionTo, refusedStatus, rulingCluster, surplusStatus } from "./decide.ts";

const NOW_MS = 1_800_000_000_000;

function cluster(name = "home", status?: ClusterStatus, created = "2027-01-01T00:00:00Z"): Cluster {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "Cluster",
    metadata: { name, uid: name, generation: 1, creationTimestamp: created },
    spec: {
      trustDomain: "home.example",
      reachability: "Mesh",
      addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
      endpoints: { enrolment: ["https://192.0.2.1:8443"], control: ["192.0.2.1:7443"] },
      certificates: { nodeLifetimeSeconds: 86_400 },
      documents: { snapshotLifetimeSeconds: 43_200 },
      tunnel: { mtu: 1280 },
      dns: { domain: "fabric.internal" },
    },
    ...(status && { status }),
  };
}

const shown: ClusterStatus = { authority: { ledgerId: "L1", term: 5, epoch: 40, caPin: "P1" } };

describe("objectionTo", () => {
  const claim = { ledgerId: "L1", term: 5, caPin: "P1" };
  it.each<[string | undefined, Parameters<typeof objectionTo>[0], ClusterStatus | undefined]>([
    [undefined, { ...claim, caPin: null, term: 0 }, undefined],
    [undefined, claim, shown],
    [undefined, { ...claim, term: 9 }, shown],
    ["ForeignLedger", { ...claim, ledgerId: "L2" }, shown],
    ["ForeignLedger", { ...claim, ledgerId: "L2", term: 99 }, shown],
    ["StaleLedger", { ...claim, term: 4 }, shown],
    ["AuthoritySecretMissing", { ...claim, caPin: null }, shown],
    ["AuthoritySecretForeign", { ...claim, caPin: "P2" }, shown],
  ])("is %s for %j", (reason, claimed, status) => {
    expect(objectionTo(claimed, cluster("home", status))?.reason).toBe(reason);
  });
});

it("keeps what the last ruler wrote when it refuses", () => {
  const objection = objectionTo({ ledgerId: "L2", term: 9, caPin: "P1" }, cluster("home", shown));
  const status = refusedStatus(cluster("home", shown), objection!, NOW_MS);
  expect(status.authority).toEqual(shown.authority);
  expect(status.conditions?.map(({ type, status: verdict, reason }) => [type, verdict, reason])).toEqual([
    ["Ready", "False", "ForeignLedger"],
    ["AuthorityHeld", "False", "ForeignLedger"],
  ]);
});

describe("several Clusters", () => {
  it("lets the oldest count, then the first by name", () => {
    const old = cluster("z-old", undefined, "2026-01-01T00:00:00Z");
    expect(rulingCluster([cluster("b"), old, cluster("a")])).toBe(old);
    expect(rulingCluster([cluster("b"), cluster("a")])?.metadata.name).toBe("a");
    expect(rulingCluster([])).toBeUndefined();
  });

  it("passes over one that is being deleted", () => {
    const going = cluster("a");
    const marked = { ...going, metadata: { ...going.metadata, deletionTimestamp: "2027-01-02T00:00:00Z" } };
    expect(rulingCluster([marked, cluster("b")])?.metadata.name).toBe("b");
  });

  it("tells the others", () => {
    const status = surplusStatus(cluster("b"), "a", NOW_MS);
    expect(status.conditions?.[0]).toMatchObject({
      type: "Ready",
      status: "False",
      reason: "AnotherCluster",
    });
    expect(status.conditions?.[0]?.message).toContain("the Cluster a;");
  });
});

it("shows who rules", () => {
  const nodes = { approved: 5, connected: 4, confirmed: 4 };
  const authority = { ledgerId: "L1", term: 6, epoch: 41, holder: "op-1", caPin: "P1" };
  const status = decideCluster({ cluster: cluster(), authority, nodes, nowMs: NOW_MS });
  expect(status).toMatchObject({ observedGeneration: 1, authority, nodes });
  expect(status.conditions?.map((condition) => `${condition.type} ${condition.status}`)).toEqual([
    "Ready True",
    "AuthorityHeld True",
  ]);
});
