// The hook after `helm uninstall`, once on every node: takes away what the agent and its engine kept there.
import { readdirSync, rmSync, rmdirSync } from "node:fs";

const [root] = process.argv.slice(-1);

for (const name of ["agent", "engine"]) rmSync(`${root}/${name}`, { recursive: true, force: true });
// The folder itself too, unless somebody else keeps something in it.
if (readdirSync(root).length === 0) rmdirSync(root);
