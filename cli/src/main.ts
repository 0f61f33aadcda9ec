#!/usr/bin/env node
/** `fabric`: composition only. */
import { runFabric } from "./program.ts";

process.exitCode = await runFabric(process.argv.slice(2), {
  terminal: {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
  },
  now: () => Math.floor(Date.now() / 1000),
});
