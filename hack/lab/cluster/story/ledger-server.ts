/**
 * The PostgreSQL that two operators share, on a host of the lab: the server that the operator brings, with a password and TCP.
 */
import { randomBytes } from "node:crypto";
import { appendFileSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { preparePostgresBinaries } from "../../../../operator/src/ledger/postgres/binaries.ts";
import { until } from "../../../demo/wait.ts";
import type { Lab } from "../../lab.ts";
import { namespaceCommand } from "../../namespaces.ts";
import { operatorUser } from "../../programs.ts";

const PORT = 5432;
const USER = "fabric";
const INITDB_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 20_000;

/** Resolves to its URL when it takes connections. It ends with the lab. */
export async function startLedgerServer(lab: Lab, hostName: string): Promise<string> {
  const host = lab.host(hostName);
  const { uid, gid } = operatorUser;
  const folder = join(host.directory, "postgresql");
  mkdirSync(folder);
  chownSync(folder, uid, gid);
  const { initdb, postgres, libraryPath } = await preparePostgresBinaries({
    linksDir: join(folder, "lib"),
    copyDir: join(folder, "package"),
  });
  const password = randomBytes(18).toString("base64url");
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  chownSync(passwordFile, uid, gid);
  const data = join(folder, "data");
  const user = ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
  const environment = ["env", "--chdir=/", `LD_LIBRARY_PATH=${libraryPath}`, "LC_ALL=C"];
  const asUser = (command: readonly string[]): string[] => [
    ...user,
    "--pdeathsig",
    "KILL",
    ...environment,
    ...command,
  ];
  const options = ["--auth=scram-sha-256", `--pwfile=${passwordFile}`, "--encoding=UTF8", "--locale=C"];
  await host.exec(asUser([initdb, "-D", data, "-U", USER, ...options]), { timeoutMs: INITDB_TIMEOUT_MS });
  appendFileSync(join(data, "pg_hba.conf"), "host all all 0.0.0.0/0 scram-sha-256\n");
  const name = `${hostName}/postgresql`;
  const logFile = join(lab.directory, "logs", `${hostName}.postgresql.log`);
  const place = ["-h", host.address, "-p", String(PORT), "-k", ""];
  const command = asUser([postgres, "-D", data, ...place]);
  lab.supervisor.add({ name, command: namespaceCommand(host.namespace, command), logFile });
  await until(
    "PostgreSQL takes connections",
    async () => {
      await host.exec(["bash", "-c", `exec 3<>/dev/tcp/${host.address}/${PORT}`]);
      return true;
    },
    { timeoutMs: START_TIMEOUT_MS, everyMs: 100 },
  );
  return `postgresql://${USER}:${password}@${host.address}:${PORT}/postgres?sslmode=disable`;
}
