/** One runner for every TypeScript test in the tree. Types are stripped, not checked: `npm run check` does that. */
export default {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/hack/jest/strip-types.cjs" },
  testMatch: ["<rootDir>/{crds,protocol,telemetry,engine,operator,agent,cli,cdk8s,hack}/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/target/"],
  modulePathIgnorePatterns: ["/target/"],
  testTimeout: 30_000,
  // Not in the system's temporary directory: a run leaves nothing there.
  cacheDirectory: "<rootDir>/node_modules/.cache/jest",
};
