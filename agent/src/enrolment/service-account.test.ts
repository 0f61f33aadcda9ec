import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { serviceAccountFrom } from "./service-account.ts";

let folder: string;
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-account-"));
});
afterEach(() => fs.rm(folder, { recursive: true }));

const at = (name: string) => path.join(folder, name);
const account = () => serviceAccountFrom({ serviceAccountTokenFile: at("token"), pinFile: at("pin") });
const PIN = "p".repeat(43);

it("reads both files anew each time", async () => {
  const read = account();
  await fs.writeFile(at("token"), "first.token.x\n");
  await fs.writeFile(at("pin"), `${PIN}\n`);
  expect([await read.token(), await read.pin()]).toEqual(["first.token.x", PIN]);
  await fs.writeFile(at("token"), "next.token.x");
  await fs.writeFile(at("pin"), "q".repeat(43));
  expect([await read.token(), await read.pin()]).toEqual(["next.token.x", "q".repeat(43)]);
});

it.each<[string, string, string | undefined]>([
  ["a missing token", "token", undefined],
  ["an empty token", "token", " "],
  ["a token of 9 KiB", "token", "t".repeat(9000)],
  ["a missing pin", "pin", undefined],
  ["a pin of another form", "pin", "sha256:abc"],
  ["a pin of 1 KiB", "pin", "p".repeat(1024)],
])("%s is refused and says which file", async (_what, file, text) => {
  if (text !== undefined) await fs.writeFile(at(file), text);
  const code = file === "token" ? "TOKEN_UNREADABLE" : "PIN_UNREADABLE";
  const reading = file === "token" ? account().token() : account().pin();
  await expect(reading).rejects.toMatchObject({ code, message: expect.stringContaining(at(file)) });
});
