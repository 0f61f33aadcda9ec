/** The rule on file names, by example. */
import { wrongFileNames } from "./file-names.ts";

describe("wrongFileNames", () => {
  it("accepts nouns in kebab-case and Kubernetes' own names", () => {
    const paths = [
      "crds/src/v1alpha1/join-token.test.ts",
      "hack/control-plane/controller-manager.go",
      "README.md",
    ];
    expect(wrongFileNames(paths)).toEqual([]);
  });

  it.each([
    "operator/src/utils.ts",
    "agent/src/helpers/time.ts",
    "engine/src/common.rs",
    "cli/src/token-manager.ts",
  ])("refuses %s, behind which anything can hide", (path) => {
    expect(wrongFileNames([path])).toHaveLength(1);
  });

  it("refuses names that are not kebab-case", () => {
    expect(wrongFileNames(["cli/src/joinToken.ts", "cli/src/join_token.ts"])).toHaveLength(2);
  });
});
