/** The conversion to a structural schema, and the house rule it enforces: everything described, everything bounded. */
import { z } from "zod";
import { toStructural } from "./structural.ts";

const described = (schema: z.ZodType) => z.object({ field: schema }).meta({ description: "d" });
const convertField = (schema: z.ZodType) =>
  toStructural(described(schema), "Kind.spec").properties?.["field"];

describe("toStructural", () => {
  it("keeps bounds, formats and Kubernetes extensions and drops what an API server refuses", () => {
    const schema = z
      .array(z.string().max(9))
      .max(3)
      .default([])
      .meta({ description: "names", "x-kubernetes-list-type": "set" });
    expect(convertField(schema)).toEqual({
      type: "array",
      description: "names",
      default: [],
      maxItems: 3,
      items: { type: "string", maxLength: 9 },
      "x-kubernetes-list-type": "set",
    });
    expect(convertField(z.iso.datetime().meta({ description: "when" }))).toEqual({
      type: "string",
      format: "date-time",
      description: "when",
    });
  });

  it("requires what has no default and is not optional", () => {
    const schema = z
      .object({
        a: z.boolean().meta({ description: "a" }),
        b: z.boolean().default(false).meta({ description: "b" }),
        c: z.boolean().optional().meta({ description: "c" }),
      })
      .meta({ description: "spec" });
    expect(toStructural(schema, "Kind.spec").required).toEqual(["a"]);
  });

  it("names the width of a number by its bound", () => {
    const number = (maximum: number) => convertField(z.int().min(0).max(maximum).meta({ description: "n" }));
    expect(number(2 ** 31 - 1)).toMatchObject({ type: "integer", format: "int32" });
    expect(number(2 ** 31)).toMatchObject({ type: "integer", format: "int64" });
  });

  it.each([
    ["a string", z.string(), "string without maxLength"],
    ["a number", z.number(), "number"],
    ["a list", z.array(z.boolean()).meta({ "x-kubernetes-list-type": "atomic" }), "list without maxItems"],
    ["a list's type", z.array(z.boolean()).max(1), "without a list type"],
    [
      "a list's entries",
      z.array(z.string()).max(1).meta({ "x-kubernetes-list-type": "atomic" }),
      "field\\[\\]",
    ],
    ["a map", z.record(z.string(), z.boolean()), "map without maxProperties"],
  ])("refuses %s without a bound", (_, schema, problem) => {
    expect(() => convertField(schema.meta({ ...schema.meta(), description: "d" }))).toThrow(
      new RegExp(problem),
    );
  });

  it("refuses a field without a description", () => {
    expect(() => convertField(z.boolean())).toThrow("Kind.spec.field has no description");
  });
});
