// The init container of the agent's pod: the folders of the node's state, each with its owner. The engine, root without any
// right to override, reads the node's key through the agent's group.
import { chownSync, lstatSync, mkdirSync } from "node:fs";

const [root, agentId] = process.argv.slice(-2);
const folders = [
  { path: `${root}/agent`, id: Number(agentId), mode: 0o750 },
  { path: `${root}/engine`, id: 0, mode: 0o700 },
];

for (const { path, id, mode } of folders) {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory()) throw new Error(`${path} is no folder`);
  // What is in it belongs to the programs.
  if (found.uid !== id || found.gid !== id) chownSync(path, id, id);
}
