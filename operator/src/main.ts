/** `fabric-operator --config <file> [--address <ip>] [--node <name>]`. Exit status: 0 asked to end, 1 a fault, 2 not usable as configured. */
import { loadConfig, type Config } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { runOperator } from "./run-operator.ts";
import { createLog } from "./telemetry/log.ts";

const FAULT = 1;
const MISCONFIGURED = 2;

async function run(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  const end = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end.abort());
  log.info({ namespace: config.namespace, holder: config.holder }, "operator started");
  try {
    await runOperator(config, log, end.signal);
    log.info("operator ended");
    return 0;
  } catch (error) {
    log.error({ error }, "operator failed");
    return FAULT;
  }
}

try {
  process.exitCode = await run(loadConfig(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`fabric-operator: ${error.code}: ${error.message}\n`);
  process.exitCode = MISCONFIGURED;
}
