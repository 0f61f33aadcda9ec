/**
 * Whether the API server's definitions of the fabric's kinds are at least as new as this program's. Read from the published schema,
 * which every account may: no right to CustomResourceDefinitions is needed.
 */
import { API_VERSION, kinds } from "@saf/crds";

export const GROUP_PATH = `apis/${API_VERSION}`;

/** As much of an OpenAPI v3 schema as names fields. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly "x-kubernetes-group-version-kind"?: readonly { readonly kind?: string }[];
}

/** `Cluster.spec.enrolment` and so on: what this program reads or writes and the API server would drop. Outermost ones only. */
export function lackingFields(document: unknown): string[] {
  const { components } = document as { components?: { schemas?: Readonly<Record<string, Schema>> } };
  const published = new Map(
    Object.values(components?.schemas ?? {}).flatMap((schema) => {
      const [named] = schema["x-kubernetes-group-version-kind"] ?? [];
      return named?.kind === undefined ? [] : [[named.kind, schema] as const];
    }),
  );
  return kinds.flatMap((kind) => {
    const schema = published.get(kind.kind);
    const own = kind.crd().spec.versions[0]?.schema.openAPIV3Schema;
    if (!schema) return [kind.kind];
    return ["spec", "status"].flatMap((part) =>
      lackingIn(own?.properties?.[part], schema.properties?.[part], `${kind.kind}.${part}`),
    );
  });
}

function lackingIn(own: Schema | undefined, published: Schema | undefined, path: string): string[] {
  if (!own) return [];
  if (!published) return [path];
  if (own.items) return lackingIn(own.items, published.items, `${path}[]`);
  return Object.entries(own.properties ?? {}).flatMap(([name, field]) =>
    lackingIn(field, published.properties?.[name], `${path}.${name}`),
  );
}
