/** What a look at the node found, item by item: for people as lines, for scripts as JSON and an exit code. */
import { formatTable } from "../format/table.ts";

export interface Finding {
  /** What was looked at: `engine`, `peer usa-1`. */
  readonly what: string;
  readonly result: "ok" | "warn" | "fail";
  readonly detail: string;
}

export function ok(what: string, detail: string): Finding {
  return { what, result: "ok", detail };
}
export function warn(what: string, detail: string): Finding {
  return { what, result: "warn", detail };
}
export function fail(what: string, detail: string): Finding {
  return { what, result: "fail", detail };
}

export function renderFindings(findings: readonly Finding[]): string {
  return formatTable(
    ["CHECK", "RESULT", "DETAIL"],
    findings.map(({ what, result, detail }) => [what, result, detail]),
  );
}
