/** How the parts come together, where no lab is needed. */
import { createServer } from "node:net";
import { once } from "node:events";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { NodeSnapshotBody } from "@saf/protocol";
import { givenSockets } from "./given-sockets.ts";
import { createNames, type Names, type NamesTarget } from "./names.ts";
import { pointed } from "./resolv-conf.ts";
import { linkCommands, pointLink } from "./resolved.ts";

const body = {
  nodeName: "home-a",
  addresses: { ipv4: "100.96.0.5", ipv6: "fd5a::5" },
  pools: { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" },
  zone: "home.fabric.internal",
  peers: [],
} as unknown as NodeSnapshotBody;
const target: NamesTarget = { body, epoch: 1, link: null };

let folder: string;
let resolvConf: string;
let errors: unknown[];
const made: Names[] = [];
beforeEach(async () => {
  errors = [];
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "saf-names-"));
  resolvConf = path.join(folder, "resolv.conf");
  await fs.writeFile(resolvConf, "nameserver 192.0.2.1\n");
});
afterEach(async () => {
  for (const names of made.splice(0)) await names.stop();
  await fs.rm(folder, { recursive: true });
});

async function start(mode: "auto" | "resolv.conf" | "serve" | "off", listen: string): Promise<Names> {
  const names = createNames({
    config: { mode, listen, resolvConf },
    descriptors: [],
    elapsedMs: () => performance.now(),
    onError: (error) => errors.push(error),
  });
  made.push(names);
  await names.start();
  return names;
}

it("takes another port when its own is taken, and leaves resolv.conf, which has no ports, alone", async () => {
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const names = await start("resolv.conf", `127.0.0.1:${port}`);
  for (let again = 0; again < 3; again += 1) await names.refresh(target);
  expect(names.view.server).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(names.view).toMatchObject({ zone: body.zone, mode: null, problem: { code: "NAMES_PORT" } });
  expect(errors).toHaveLength(1); // told once
  expect(await fs.readFile(resolvConf, "utf8")).toBe("nameserver 192.0.2.1\n");
  other.close();
});

it("has no zone for a snapshot that names none, nor without one", async () => {
  const names = await start("serve", "127.0.0.1:5300");
  await names.refresh(target);
  expect(names.view).toMatchObject({ zone: body.zone, mode: null, problem: null });
  const old = { ...body };
  delete old.zone;
  await names.refresh({ ...target, body: old });
  expect(names.view.zone).toBeNull();
  await names.refresh(null);
  expect(names.view.zone).toBeNull();
});

it("says when a port that is asked for is refused, and serves at another", async () => {
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const names = await start("serve", `127.0.0.1:${(other.address() as { port: number }).port}`);
  await names.refresh(null);
  await names.refresh(target);
  expect(names.view).toMatchObject({ zone: body.zone, problem: { code: "NAMES_PORT" } });
  other.close();
});

it("puts back what a killed agent left, though it can't listen itself", async () => {
  const original = "nameserver 192.0.2.1\n";
  await fs.writeFile(
    resolvConf,
    pointed(original, { server: "127.0.0.74", zone: "x.internal", hostDomain: "" }),
  );
  await start("resolv.conf", "192.0.2.1:53");
  expect(await fs.readFile(resolvConf, "utf8")).toBe(original);
});

it("opens nothing when it is off", async () => {
  const names = await start("off", "127.0.0.1:5300");
  await names.refresh(target);
  expect(names.view).toEqual({ zone: null, mode: null, server: null, problem: null });
});

it("says when it can listen nowhere", async () => {
  const names = await start("serve", "192.0.2.1:53");
  await names.refresh(target);
  expect(names.view).toMatchObject({ server: null, problem: { code: "EADDRNOTAVAIL" } });
});

it("tells systemd-resolved its zones and no other, and what that says if it refuses", async () => {
  const link = {
    interface: "fabric0",
    server: "127.0.0.74:53",
    zone: body.zone ?? "",
    reverse: ["96.100.in-addr.arpa"],
  };
  expect(linkCommands(link).slice(0, 3)).toEqual([
    ["dns", "fabric0", "127.0.0.74:53"],
    ["domain", "fabric0", "home.fabric.internal", "~96.100.in-addr.arpa"],
    ["default-route", "fabric0", "false"],
  ]);
  const none = { ...link, interface: "no-such-link-0" };
  await expect(pointLink(none)).rejects.toMatchObject({ code: "RESOLVED_REFUSES" });
});

it.each([
  [{ LISTEN_PID: "7", LISTEN_FDS: "2" }, [3, 4]],
  [{ LISTEN_PID: "8", LISTEN_FDS: "2" }, []],
  [{ LISTEN_PID: "7", LISTEN_FDS: "1" }, []],
  [{ LISTEN_FDS: "2" }, []],
  [{}, []],
])("takes sockets from a supervisor that means it: %j", (environment, expected) => {
  expect(givenSockets(environment, 7)).toEqual(expected);
});
