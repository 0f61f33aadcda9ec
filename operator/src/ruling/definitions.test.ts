import { kinds } from "@saf/crds";
import { lackingFields } from "./definitions.ts";

interface Published {
  readonly components: { readonly schemas: Record<string, Fields> };
}
interface Fields {
  properties?: Record<string, Fields>;
  items?: Fields;
}

/** As the API server publishes the definitions that this tree has. */
function published(): Published {
  const schemas = kinds.map((kind): [string, Fields] => {
    const schema = structuredClone(kind.crd().spec.versions[0]?.schema.openAPIV3Schema ?? {});
    return [kind.plural, { ...schema, "x-kubernetes-group-version-kind": [{ kind: kind.kind }] } as Fields];
  });
  return { components: { schemas: Object.fromEntries(schemas) } };
}

/** The fields at a path of a kind; `[]` leads into a list. */
function fieldsAt({ components }: Published, plural: string, ...path: string[]): Record<string, Fields> {
  let at = components.schemas[plural];
  for (const name of path) at = name === "[]" ? at?.items : at?.properties?.[name];
  return at?.properties ?? {};
}

it("finds nothing lacking in its own definitions", () => {
  expect(lackingFields(published())).toEqual([]);
});

it("names the outermost field that an older definition lacks, within lists too", () => {
  const older = published();
  delete fieldsAt(older, "clusters", "spec", "enrolment", "serviceAccounts", "[]")["sourceAddress"];
  delete fieldsAt(older, "fabricnodes", "spec")["groups"];
  delete fieldsAt(older, "roleassignments")["status"];
  delete older.components.schemas["joinrequests"];
  expect(lackingFields(older)).toEqual([
    "Cluster.spec.enrolment.serviceAccounts[].sourceAddress",
    "FabricNode.spec.groups",
    "RoleAssignment.status",
    "JoinRequest",
  ]);
});

it("does not mind fields that it does not know, nor an answer that is none", () => {
  const newer = published();
  fieldsAt(newer, "clusters", "spec")["more"] = {};
  expect(lackingFields(newer)).toEqual([]);
  expect(lackingFields({})).toEqual(kinds.map(({ kind }) => kind));
});
