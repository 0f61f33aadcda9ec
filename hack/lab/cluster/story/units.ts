/**
 * What systemd does with a unit of `fabric install`, as far as a machine without systemd can: its command under its user, group, mask
 * and capabilities, with its runtime folder, kept running by the lab.
 */
import type { Machine } from "../machine.ts";

const UNITS = "/etc/systemd/system";

/** Starts `<name>.service`. */
export async function runUnit(machine: Machine, name: string): Promise<void> {
  const unit = parseUnit((await machine.run(["cat", `${UNITS}/${name}.service`])).stdout);
  const setting = (key: string): string => {
    const value = unit.get(key);
    if (value === undefined) throw new Error(`${name}.service says nothing of ${key}`);
    return value;
  };
  const [user, group] = [setting("User"), setting("Group")];
  const folder = `/run/${setting("RuntimeDirectory")}`;
  const capabilities = setting("CapabilityBoundingSet")
    .split(" ")
    .filter(Boolean)
    .map((capability) => `,+${capability.toLowerCase().replace(/^cap_/, "")}`)
    .join("");
  const privileges = [
    ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"],
    // A change of user takes back what was said of the parent's death before.
    ["--bounding-set", `-all${capabilities}`, "--inh-caps", "-all", "--pdeathsig", "KILL"],
  ].flat();
  const script = [
    `install -d -o ${user} -g ${group} -m ${setting("RuntimeDirectoryMode")} ${folder}`,
    `umask ${setting("UMask")}`,
    'exec "$@"',
  ].join("\n");
  const command = setting("ExecStart").split(" ");
  machine.add(name, ["sh", "-ec", script, "sh", ...privileges, ...command]);
}

/** The last line of a key counts, which is right for the keys that are read here. */
export function parseUnit(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const at = line.indexOf("=");
      return at < 1 || /^[#;[]/.test(line) ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
}
