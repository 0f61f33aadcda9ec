/** The last lines of the log, kept for the diagnostics bundle: a host may have no journal, or one that its agent cannot read. */

/** Some minutes of a busy node, hours of a quiet one. */
const MAX_LINES = 256;
/** A line with a stack is under 2 KiB; a longer one is cut. */
const MAX_LINE_LENGTH = 2048;

export interface RecentLines {
  readonly add: (line: string) => void;
  /** Oldest first. */
  readonly list: () => readonly string[];
}

export function createRecentLines(): RecentLines {
  const lines: string[] = [];
  return {
    add(line) {
      lines.push(line.trimEnd().slice(0, MAX_LINE_LENGTH));
      if (lines.length > MAX_LINES) lines.shift();
    },
    list: () => [...lines],
  };
}
