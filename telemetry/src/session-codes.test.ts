import { readFileSync } from "node:fs";
import { SESSION_CODES } from "./session-codes.ts";

it("is the table of docs/wire/frames.md", () => {
  const page = readFileSync(new URL("../../docs/wire/frames.md", import.meta.url), "utf8");
  const codes = [...page.matchAll(/^\| 0x[0-9a-f]{2} +\| ([A-Z_]+) +\| [^|]+\|$/gm)].map(([, code]) => code);
  expect(SESSION_CODES).toEqual(codes);
});
