/**
 * Labs for people.
 *
 *   npm run lab -- cluster          a real Kubernetes cluster, until Ctrl-C
 *   npm run lab -- cluster --once   the fabric's story on it, every step verified
 */
import { runClusterLab } from "./cluster/run-cluster-lab.ts";

const labs: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  cluster: runClusterLab,
};

const [name = "", ...args] = process.argv.slice(2);
const lab = labs[name];
if (lab === undefined) {
  console.error(`usage: npm run lab -- ${Object.keys(labs).join("|")}`);
  process.exit(2);
}
process.exit(await lab(args));
