/** Errors of the Kubernetes API, as codes. Source: API conventions, "HTTP Status codes". */

export type KubeErrorCode =
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "CONFLICT"
  | "GONE"
  | "INVALID"
  | "FORBIDDEN"
  | "UNAUTHORIZED"
  | "TOO_MANY_REQUESTS"
  | "UNAVAILABLE"
  | "TOO_LARGE"
  | "REJECTED";

export interface KubeErrorDetails extends ErrorOptions {
  readonly status?: number;
  readonly retryAfterMs?: number;
}

export class KubeError extends Error {
  readonly code: KubeErrorCode;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** How long the server asked to be left alone. */
  readonly retryAfterMs: number;

  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "KubeError";
    this.code = code;
    this.status = details.status ?? 0;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

const CODES: Readonly<Record<number, KubeErrorCode>> = {
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
  410: "GONE",
  413: "TOO_LARGE",
  422: "INVALID",
  429: "TOO_MANY_REQUESTS",
};

export function kubeErrorCodeOf(status: number, reason: string | undefined): KubeErrorCode {
  if (reason === "AlreadyExists") return "ALREADY_EXISTS";
  return CODES[status] ?? (status >= 500 ? "UNAVAILABLE" : "REJECTED");
}

/** For people: what to do about FORBIDDEN. The API server's own words name the verb and the resource. */
export function lackedRight({ message }: KubeError): string {
  return `the operator lacks a right: kubectl apply -f operator/manifests, or helm upgrade (${message})`;
}

export function isKubeError(error: unknown, ...codes: readonly KubeErrorCode[]): error is KubeError {
  return error instanceof KubeError && codes.includes(error.code);
}
