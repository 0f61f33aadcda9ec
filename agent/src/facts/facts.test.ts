import { capabilities, facts } from "@saf/protocol";
import { CAPABILITIES, gatherFacts } from "./facts.ts";

it("gathers facts and capabilities within the protocol's bounds", () => {
  expect(facts.parse(gatherFacts())).toMatchObject({ os: "linux", cpus: expect.any(Number) });
  expect(capabilities.parse(CAPABILITIES)).toEqual({ protocolVersions: ["saf/1"] });
});
