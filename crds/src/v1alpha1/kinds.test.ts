/** Every kind as a whole: names, columns, examples; and `validate()`, which programs use on objects they read. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { generateManifests } from "../generate.ts";
import { clusterKind, joinTokenKind, kinds } from "../index.ts";

const crdsDir = join(import.meta.dirname, "../..");

async function examples(): Promise<{ kind: string; spec: object }[]> {
  const files = await readdir(join(crdsDir, "examples"));
  const texts = await Promise.all(files.map((file) => readFile(join(crdsDir, "examples", file), "utf8")));
  return texts.flatMap((text) => loadAll(text) as { kind: string; spec: object }[]);
}

describe("kinds", () => {
  it.each(kinds.map((kind) => [kind.kind, kind] as const))("%s shows Ready first and Age last", (_, kind) => {
    const version = kind.crd().spec.versions[0];
    const columns = version?.additionalPrinterColumns.map((column) => column.name) ?? [];
    expect(columns[0]).toBe("Ready");
    expect(columns.at(-1)).toBe("Age");
    expect(version?.subresources).toEqual({ status: {} });
  });

  it("has distinct short names", () => {
    expect(kinds.map((kind) => kind.shortName)).toEqual(["fcl", "fn", "ra", "jt", "jr"]);
  });

  it("has manifests as generated, and no other file beside them", async () => {
    const generated = generateManifests();
    const directory = join(crdsDir, "manifests");
    expect((await readdir(directory)).sort()).toEqual([...generated.keys()].sort());
    for (const [name, text] of generated) expect(await readFile(join(directory, name), "utf8")).toBe(text);
  });

  it("has a valid example of every kind", async () => {
    const all = await examples();
    expect(new Set(all.map((example) => example.kind))).toEqual(new Set(kinds.map((kind) => kind.kind)));
    for (const example of all) {
      const kind = kinds.find((candidate) => candidate.kind === example.kind);
      expect(kind?.validate(example).spec).toMatchObject(example.spec);
    }
  });
});

describe("validate", () => {
  const token = {
    apiVersion: "fabric.saf.dev/v1alpha1",
    kind: "JoinToken",
    metadata: { name: "rack-7", managedFields: [] },
    spec: { tokenHash: `sha256:${"s".repeat(22)}:${"h".repeat(43)}`, expiresAt: "2026-12-31T00:00:00+01:00" },
  };

  it("fills in defaults and keeps metadata it does not know", () => {
    const valid = joinTokenKind.validate(token);
    expect(valid.spec).toMatchObject({ maxUses: 1, revoked: false, allowedRoles: [] });
    expect(valid.metadata).toHaveProperty("managedFields");
  });

  it("names every field that does not fit", () => {
    const bad = { ...token, spec: { ...token.spec, maxUses: 1001, tokenHash: "plain" } };
    expect(() => joinTokenKind.validate(bad)).toThrow(
      expect.objectContaining({
        code: "INVALID_OBJECT",
        message: expect.stringMatching(/JoinToken.*spec\.tokenHash.*spec\.maxUses/),
      }),
    );
  });

  it("refuses an object of another kind", () => {
    expect(() => clusterKind.validate(token)).toThrow(expect.objectContaining({ code: "INVALID_OBJECT" }));
  });
});
