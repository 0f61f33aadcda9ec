/** Runs a health check as Argo CD does: Lua with the object as `obj`, and the libraries that it opens for scripts. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LuaFactory } from "wasmoon";
import { repositoryRoot } from "../bootstrap/artifacts.ts";

export const customizations = join(
  repositoryRoot,
  "examples/gitops/argo-cd/resource_customizations/fabric.saf.dev",
);

export interface Health {
  readonly status: string;
  readonly message: string;
}

export async function argoHealth(kind: string, object: object): Promise<Health> {
  const script = readFileSync(join(customizations, kind, "health.lua"), "utf8");
  const lua = await new LuaFactory().createEngine({ openStandardLibs: true, injectObjects: false });
  try {
    for (const name of ["os", "io", "package", "debug", "require", "dofile", "loadfile"])
      lua.global.set(name, undefined);
    // As a table of Lua's own: what JavaScript objects look like in Lua is not what Argo CD shows a script.
    await lua.doString(`obj = ${luaLiteral(object)}`);
    return (await lua.doString(script)) as Health;
  } finally {
    lua.global.close();
  }
}

function luaLiteral(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(luaLiteral).join(",")}}`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .map(([key, child]) => `[${luaText(key)}]=${luaLiteral(child)}`)
      .join(",")}}`;
  if (typeof value === "string") return luaText(value);
  return value === null ? "nil" : JSON.stringify(value);
}

/** Every character that means something to Lua, by its number. */
function luaText(text: string): string {
  const bytes = [...Buffer.from(text, "utf8")];
  return `"${bytes.map((byte) => `\\${String(byte).padStart(3, "0")}`).join("")}"`;
}
