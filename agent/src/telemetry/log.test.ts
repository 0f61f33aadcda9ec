import { spawnSync } from "node:child_process";
import { createRecentLines } from "./recent-lines.ts";

/** In a process of its own, because it writes to the standard error itself. */
function logged(script: string): Record<string, unknown>[] {
  const source = `import { createLog } from ${JSON.stringify(new URL("log.ts", import.meta.url).href)};
    const kept = []; const log = createLog("debug", "home-a", (line) => kept.push(line)); ${script}
    process.stdout.write(String(kept.length));`;
  const { stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    encoding: "utf8",
  });
  const lines = stderr.trim().split("\n");
  expect(stdout).toBe(String(lines.length));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

it("names its node on every line, and keeps what it writes", () => {
  const [line] = logged(`log.info({ peer: "p", session: "s" }, "session ready");`);
  expect(line).toMatchObject({ node: "home-a", peer: "p", session: "s", msg: "session ready" });
});

it("blanks what is named like a secret, whoever passes it", () => {
  const names = ["secret", "token", "pem", "keyPem", "privateKey", "password", "authorization", "jws"];
  const lines = logged(
    `for (const name of ${JSON.stringify(names)}) log.info({ [name]: "hunter22", in: { [name]: "hunter22" } }, name);`,
  );
  expect(lines).toHaveLength(names.length);
  expect(JSON.stringify(lines)).not.toContain("hunter22");
});

it("keeps the last 256 lines, each cut to a bound", () => {
  const recent = createRecentLines();
  for (let index = 0; index < 300; index += 1) recent.add(`line ${index}\n`);
  recent.add("x".repeat(5000));
  expect(recent.list()).toHaveLength(256);
  expect(recent.list()[0]).toBe("line 45");
  expect(recent.list().at(-1)).toHaveLength(2048);
});
