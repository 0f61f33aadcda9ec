/** What the API server, or the way to it, said → CliError. */
import { ApiException } from "@kubernetes/client-node";
import { CliError, EXIT, type ExitCode } from "../errors.ts";

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
interface KubernetesStatus {
  reason?: string;
  message?: string;
  details?: { name?: string };
}

const BY_STATUS: Readonly<Record<number, readonly [code: string, exit: ExitCode, hint?: string]>> = {
  401: ["UNAUTHORIZED", EXIT.denied, "the credentials of the kubeconfig are not accepted"],
  403: ["FORBIDDEN", EXIT.denied],
  404: ["NOT_FOUND", EXIT.notFound],
  409: ["CONFLICT", EXIT.failure],
  422: ["INVALID", EXIT.failure],
};

export function asApiError(
  error: unknown,
  { what, namespace }: { what: string; namespace: string },
): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof ApiException)) return unreachable(error);
  const status = parseStatus(error.body);
  const [code, exit, hint] = BY_STATUS[error.code] ?? ["API_ERROR", EXIT.failure];
  if (error.code === 404 && status.details?.name === undefined) {
    return new CliError("API_MISSING", "the API server does not know the fabric's kinds", {
      exit: EXIT.notFound,
      hint: "kubectl apply -f crds/manifests",
      cause: error,
    });
  }
  if (error.code === 404) {
    return new CliError(code, `no ${what} in namespace ${namespace}`, { exit, cause: error });
  }
  const message = status.message ?? `the API server answered ${error.code}`;
  return new CliError(code, message, { exit, hint, cause: error });
}

/** Neither an answer nor ours: the connection failed. */
function unreachable(error: unknown): CliError {
  return new CliError("API_UNREACHABLE", `the API server cannot be reached: ${rootMessage(error)}`, {
    exit: EXIT.unreachable,
    hint: "check the server of the kubeconfig's context",
    cause: error,
  });
}

/** fetch says only `fetch failed`; the innermost cause says why. */
function rootMessage(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  if ("cause" in error && error.cause) return rootMessage(error.cause);
  return "message" in error ? String(error.message) : "unknown";
}

function parseStatus(body: unknown): KubernetesStatus {
  if (typeof body !== "string") return isStatus(body) ? body : {};
  try {
    const parsed: unknown = JSON.parse(body);
    return isStatus(parsed) ? parsed : {};
  } catch {
    return {}; // a proxy's HTML page, say; the status code still tells
  }
}

function isStatus(value: unknown): value is KubernetesStatus {
  return typeof value === "object" && value !== null;
}
