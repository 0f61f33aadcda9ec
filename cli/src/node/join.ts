/**
 * `fabric join`: hands server and token to the agent and follows what becomes of it. The agent goes on by itself: ending
 * this command ends only the watching.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { NodeState, StatusView } from "@saf/agent";
import { parseToken, TokenError } from "@saf/protocol";
import { CliError, EXIT, usageError } from "../errors.ts";
import type { JoinOrder, LocalApi } from "./local-api.ts";

export interface Watching {
  /** Called when what is going on has changed. */
  progress: (text: string) => void;
  /** Give up watching after this long; undefined: never. */
  timeoutSeconds?: number | undefined;
  pollMs?: number;
}

/** The local API answers at once, so following it means asking again; people do not notice a quarter of a second. */
const POLL_MS = 250;

const MEMBER: ReadonlySet<NodeState> = new Set(["running", "degraded"]);

/** Throws USAGE. */
export function checkServer(server: string): void {
  const url = server.length <= 512 ? URL.parse(server) : null;
  if (url?.protocol !== "https:") throw usageError("the server reads https://<host>:<port>");
}

/** Throws USAGE for a server or token that cannot be right, before the agent is bothered. */
export function checkJoinOrder({ server, token }: JoinOrder): void {
  checkServer(server);
  checkToken(token);
}

/** Throws TokenError's code. The token is never repeated. */
export function checkToken(token: string): void {
  try {
    parseToken(token);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new CliError(error.code, error.message, {
      exit: EXIT.usage,
      hint: "paste the whole line that `fabric token create` printed",
      cause: error,
    });
  }
}

/** Resolves to the status of a member; throws when it was denied or has failed for good. */
export async function joinAndWatch(api: LocalApi, order: JoinOrder, watching: Watching): Promise<StatusView> {
  await api.join(order);
  const deadline = performance.now() + (watching.timeoutSeconds ?? Infinity) * 1000;
  let said = "";
  for (;;) {
    const status = await api.status();
    if (MEMBER.has(status.state)) return status;
    throwIfOver(status);
    const text = describeWait(status);
    if (text !== said) watching.progress(text);
    said = text;
    if (performance.now() >= deadline) throw stillWaiting(status);
    await delay(watching.pollMs ?? POLL_MS);
  }
}

function describeWait(status: StatusView): string {
  const requestId = status.join?.requestId;
  if (status.state === "pending" && requestId) {
    return `pending as ${requestId}, fingerprint ${status.fingerprint}; an owner decides with: fabric approve ${requestId}`;
  }
  return status.reason === null ? status.state : `${status.state}: ${status.reason}`;
}

/** `joining` goes on by itself; what follows a refusal does not. */
function throwIfOver({ state, reason, reasonCode }: StatusView): void {
  if (state === "denied") {
    throw new CliError("DENIED", `the request was rejected: ${reason ?? "no reason given"}`, {
      exit: EXIT.denied,
    });
  }
  if (state === "revoked") {
    throw new CliError("REVOKED", `this node is revoked: ${reason ?? "no reason given"}`, {
      exit: EXIT.denied,
    });
  }
  if (state === "unenrolled" || state === "expired") {
    throw new CliError(reasonCode ?? "JOIN_FAILED", reason ?? "the agent gave up joining", {
      exit: EXIT.failure,
      hint: "fabric status has the last errors",
    });
  }
}

function stillWaiting({ state }: StatusView): CliError {
  return new CliError("TIMEOUT", `still ${state}`, {
    exit: EXIT.failure,
    hint: "the agent goes on by itself; fabric status tells",
  });
}
