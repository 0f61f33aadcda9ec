/** A transport that tells of each request what it was and how it ended. */
import { KubeError } from "./errors.ts";
import type { Transport, TransportRequest } from "./transport.ts";

export interface ApiCall {
  readonly verb: string;
  /** Plural, as in the path. */
  readonly resource: string;
  /** `OK`, or a KubeErrorCode. */
  readonly code: string;
  /** To the head of the answer; null for a watch. */
  readonly seconds: number | null;
}

export function observedTransport(transport: Transport, tell: (call: ApiCall) => void): Transport {
  return {
    async open(request) {
      const { verb, resource } = describeRequest(request);
      const startedMs = performance.now();
      const ended = (code: string): void =>
        tell({
          verb,
          resource,
          code,
          seconds: verb === "watch" ? null : (performance.now() - startedMs) / 1000,
        });
      try {
        const answer = await transport.open(request);
        ended("OK");
        return answer;
      } catch (error) {
        ended(error instanceof KubeError ? error.code : "FAULT");
        throw error;
      }
    },
    close: () => transport.close(),
  };
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris: the resource, and the name if there is one. */
const PATH = /^\/(?:api|apis\/[^/]+)\/[^/]+(?:\/namespaces\/[^/]+)?\/([^/]+)(?:\/([^/]+))?/;

const VERBS = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" } as const;

/** Exported for its test. */
export function describeRequest({ method, target }: Pick<TransportRequest, "method" | "target">): {
  verb: string;
  resource: string;
} {
  const [path = "", query = ""] = target.split("?", 2);
  if (path.startsWith("/openapi/")) return { verb: "get", resource: "openapi" };
  const [, resource = "", name] = PATH.exec(path) ?? [];
  if (method !== "GET") return { verb: VERBS[method], resource };
  if (name !== undefined) return { verb: "get", resource };
  return { verb: /(?:^|&)watch=true(?:&|$)/.test(query) ? "watch" : "list", resource };
}
