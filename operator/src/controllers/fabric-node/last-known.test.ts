import type { FabricNode, FabricNodeStatus } from "@saf/crds";
import { lastKnown } from "./last-known.ts";

function node(status?: FabricNodeStatus): FabricNode {
  return {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "FabricNode",
    metadata: { name: "home-a" },
    spec: { nodeId: "id", fingerprint: "key", suspended: false },
    ...(status && { status }),
  };
}

it("finds again where a node behind a NAT was seen", () => {
  const status: FabricNodeStatus = {
    natGroup: "203.0.113.7",
    candidates: [
      { endpoint: "192.168.1.5:7443", kind: "private" },
      { endpoint: "203.0.113.7:40001", kind: "mapped" },
    ],
  };
  expect(lastKnown(node(status))).toEqual({
    observed: "203.0.113.7:40001",
    candidates: ["192.168.1.5:7443"],
  });
});

it("finds again where a node in the open was seen", () => {
  const status: FabricNodeStatus = {
    natGroup: "198.51.100.80",
    candidates: [{ endpoint: "198.51.100.80:7443", kind: "host" }],
  };
  expect(lastKnown(node(status))).toEqual({
    observed: "198.51.100.80:7443",
    candidates: ["198.51.100.80:7443"],
  });
});

it("knows nothing of a node that was never heard", () => {
  expect(lastKnown(node())).toEqual({ observed: null, candidates: null });
});

it("overlooks what only looks like an address: a status must not keep an operator from ruling", () => {
  const status: FabricNodeStatus = {
    natGroup: "999.9.9.9",
    candidates: [
      { endpoint: "999.9.9.9:7443", kind: "host" },
      { endpoint: "[::::]:1", kind: "mapped" },
      { endpoint: "198.51.100.80:99999", kind: "host" },
      { endpoint: "198.51.100.80:7443", kind: "host" },
    ],
  };
  expect(lastKnown(node(status))).toEqual({ observed: null, candidates: ["198.51.100.80:7443"] });
});
