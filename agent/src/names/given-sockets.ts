/**
 * Sockets that the supervisor opened for us, by the protocol of sd_listen_fds(3): a program without any right to port 53 can be given
 * it. The variables are for the process that they name, not for its children.
 */

/** The first one after stdin, stdout and stderr. */
const FIRST = 3;

export function givenSockets(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): number[] {
  const { LISTEN_PID: forPid, LISTEN_FDS: count } = environment;
  if (forPid !== String(pid) || count !== "2") return [];
  return [FIRST, FIRST + 1];
}
