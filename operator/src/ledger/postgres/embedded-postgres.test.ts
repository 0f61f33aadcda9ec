/** The embedded PostgreSQL and its operators: starting, dying, attaching, leaving. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Ledger } from "../ledger.ts";
import { openLedger } from "../open-ledger.ts";
import { makeDataDir, ORDINARY_USER, quiet, START, TRUST_DOMAIN } from "../testing/test-postgres.ts";
import { openEmbeddedPostgres } from "./embedded-postgres.ts";

let dataDir: string;
const open: Ledger[] = [];

/** A cluster made once; copying it is faster than making one. */
let made: string;

beforeAll(async () => {
  made = dataDir = await makeDataDir();
  await (await openHere()).close();
  open.length = 0;
});
afterAll(() => rm(dirname(made), { recursive: true, force: true }));

beforeEach(async () => {
  dataDir = await makeDataDir();
});
afterEach(async () => {
  for (const ledger of open.splice(0)) await ledger.close();
  expect(postmasterPid()).toBeUndefined();
  await rm(dirname(dataDir), { recursive: true, force: true });
});

async function openHere(): Promise<Ledger> {
  const ledger = await openLedger({
    database: { dataDir, runAs: ORDINARY_USER },
    trustDomain: TRUST_DOMAIN,
    clock: () => START,
    log: quiet,
  });
  open.push(ledger);
  return ledger;
}

function copyMade(): void {
  execFileSync("cp", ["-a", made, dataDir]);
}

function postmasterPid(): number | undefined {
  const file = join(dataDir, "pgdata", "postmaster.pid");
  return existsSync(file) ? Number(readFileSync(file, "utf8").split("\n")[0]) : undefined;
}

function requirePid(): number {
  const pid = postmasterPid();
  if (pid === undefined) throw new Error("no postmaster");
  return pid;
}

/** The postmaster and its children. */
function processesOf(pid: number): number[] {
  const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" });
  return [pid, ...children.trim().split(/\s+/).map(Number)];
}

/** Until another postmaster has the data. */
async function anotherPid(pid: number): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (postmasterPid() === pid || postmasterPid() === undefined) {
    expect(performance.now()).toBeLessThan(deadline);
    await delay(50);
  }
}

/** Asks until the ledger answers again. */
async function answersAgain(ledger: Ledger): Promise<void> {
  const from = performance.now();
  for (;;) {
    const answered = await ledger.currentTerm().then(
      () => true,
      (error: unknown) => {
        expect(error).toMatchObject({ code: "LEDGER_UNAVAILABLE" });
        return false;
      },
    );
    if (answered) return;
    expect(performance.now() - from).toBeLessThan(20_000);
    await delay(50);
  }
}

describe("a data folder", () => {
  it("is made, listens on a unix socket alone, and keeps the ledger from start to start", async () => {
    const first = await openHere();
    await first.takeTerm({ holder: "first", expected: 0 });
    const sockets = execFileSync("ss", ["-Hltnp"], { encoding: "utf8" });
    expect(sockets).not.toContain(`pid=${requirePid()},`);
    await open.pop()?.close();
    expect(postmasterPid()).toBeUndefined();
    const second = await openHere();
    expect(second.id).toBe(first.id);
    expect(await second.currentTerm()).toEqual({ term: 1, epoch: 0, holder: "first" });
  });

  it("is made once by two operators that start together", async () => {
    const [one, two] = await Promise.all([openHere(), openHere()]);
    expect(one.id).toBe(two.id);
    expect((await readdir(dataDir)).filter((name) => name.startsWith("pgdata"))).toEqual(["pgdata"]);
  });

  it("with a half-made cluster of a killed operator is cleaned and used", async () => {
    const dead = join(dataDir, "pgdata.new-999999999-cafe");
    await mkdir(dead, { recursive: true });
    await writeFile(join(dead, "PG_VERSION"), "18\n");
    await openHere();
    expect(existsSync(dead)).toBe(false);
  });

  it("that is too deep for a unix socket is refused", async () => {
    const deep = join(dataDir, "x".repeat(100));
    const opening = openEmbeddedPostgres({ dataDir: deep, runAs: ORDINARY_USER, log: quiet });
    await expect(opening).rejects.toMatchObject({ code: "POSTGRES_UNUSABLE" });
  });

  it("of another PostgreSQL is refused", async () => {
    copyMade();
    await writeFile(join(dataDir, "pgdata", "PG_VERSION"), "17\n");
    const opening = openEmbeddedPostgres({ dataDir, runAs: ORDINARY_USER, log: quiet });
    await expect(opening).rejects.toMatchObject({
      code: "POSTGRES_UNUSABLE",
      message: expect.stringContaining("17"),
    });
  });

  const asRoot = process.geteuid?.() === 0 ? it : it.skip;
  it("that is damaged is refused with PostgreSQL's own words", async () => {
    copyMade();
    await rm(join(dataDir, "pgdata", "global", "pg_control"));
    const opening = openEmbeddedPostgres({ dataDir, runAs: ORDINARY_USER, log: quiet });
    await expect(opening).rejects.toMatchObject({
      code: "POSTGRES_UNUSABLE",
      message: expect.stringContaining("pg_control"),
    });
  });

  asRoot("is refused to root", async () => {
    const opening = openEmbeddedPostgres({ dataDir, log: quiet });
    await expect(opening).rejects.toMatchObject({
      code: "POSTGRES_UNUSABLE",
      message: expect.stringContaining("root"),
    });
  });
});

describe("a killed PostgreSQL", () => {
  beforeEach(copyMade);

  it("is started again before anybody asks, and has lost nothing that was decided", async () => {
    const ledger = await openHere();
    const { term } = await ledger.takeTerm({ holder: "first", expected: 0 });
    const epoch = await ledger.advanceEpoch(term);
    const killed = requirePid();
    process.kill(killed, "SIGKILL");
    await anotherPid(killed);
    await answersAgain(ledger);
    expect(await ledger.assertTerm(term)).toEqual({ term, epoch, holder: "first" });
  });

  it("may lose one backend without anyone else noticing", async () => {
    const ledger = await openHere();
    const killed = requirePid();
    await Promise.all(Array.from({ length: 8 }, () => ledger.currentTerm()));
    const clients = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(killed)], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes("postgres: saf"));
    process.kill(Number(clients[0]?.trim().split(" ")[0]), "SIGTERM");
    await answersAgain(ledger);
    expect(requirePid()).toBe(killed);
  });
});

describe("a PostgreSQL that hangs", () => {
  beforeEach(copyMade);

  it("is reported soon, and used again when it answers", async () => {
    const ledger = await openHere();
    const { term } = await ledger.takeTerm({ holder: "first", expected: 0 });
    const processes = processesOf(requirePid());
    for (const pid of processes) process.kill(pid, "SIGSTOP");
    const from = performance.now();
    const asked = [ledger.currentTerm(), ledger.advanceEpoch(term), ledger.assertTerm(term)];
    const outcomes = await Promise.allSettled(asked);
    const tookMs = performance.now() - from;
    for (const pid of processes) process.kill(pid, "SIGCONT");
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "LEDGER_UNAVAILABLE" } });
    expect(tookMs).toBeLessThan(10_000);
    await answersAgain(ledger);
    expect(await ledger.assertTerm(term)).toMatchObject({ term });
  });
});

describe("a database that is not the operator's own", () => {
  beforeEach(copyMade);

  it("may go away and come back: refused at once meanwhile, and nothing to do afterwards", async () => {
    const server = await openEmbeddedPostgres({ dataDir, runAs: ORDINARY_USER, log: quiet });
    const host = encodeURIComponent(join(dataDir, "run"));
    const url = `postgresql:///postgres?host=${host}&port=5432&user=saf`;
    const init = { trustDomain: TRUST_DOMAIN, clock: () => START, log: quiet };
    const ledger = await openLedger({ database: { url }, ...init });
    open.push(ledger);
    await server.release("no one");
    const from = performance.now();
    await expect(ledger.currentTerm()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
    await expect(openLedger({ database: { url }, ...init })).rejects.toMatchObject({
      code: "LEDGER_UNAVAILABLE",
    });
    expect(performance.now() - from).toBeLessThan(3_000);
    await server.ensureRunning();
    expect((await ledger.takeTerm({ holder: "first", expected: 0 })).term).toBe(1);
    open.length = 0;
    await ledger.close();
    await server.release("no one");
  });
});

describe("a volume whose group was given everything, as Kubernetes does for an fsGroup", () => {
  beforeEach(copyMade);

  it("is made its owner's again, and starts", async () => {
    execFileSync("chmod", ["-R", "g+rwX", dataDir]);
    expect((await openHere()).trustDomain).toBe(TRUST_DOMAIN);
  });
});

describe("operators on one data folder", () => {
  beforeEach(copyMade);

  it("share it, and the last to leave stops it", async () => {
    const one = await openHere();
    const two = await openHere();
    const { term } = await one.takeTerm({ holder: "one", expected: 0 });
    await two.takeTerm({ holder: "two", expected: term });
    await expect(one.advanceEpoch(term)).rejects.toMatchObject({ code: "FENCED" });
    const pid = requirePid();
    open.splice(open.indexOf(one), 1);
    await one.close();
    expect(requirePid()).toBe(pid);
    expect(await two.advanceEpoch(term + 1)).toBe(1);
  });

  it("that leave together leave nothing running", async () => {
    const ledgers = [await openHere(), await openHere()];
    open.length = 0;
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    expect(postmasterPid()).toBeUndefined();
  });

  it("take over from a killed one without a restart", async () => {
    const holder = spawn(
      process.execPath,
      [join(import.meta.dirname, "../testing/ledger-holder.ts"), dataDir],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [said] = (await once(holder.stdout, "data")) as [Buffer];
    const pid = requirePid();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const ledger = await openHere();
    expect(ledger.id).toBe(said.toString().trim());
    expect(requirePid()).toBe(pid);
    expect((await ledger.currentTerm()).holder).toBe("killed");
  });
});
