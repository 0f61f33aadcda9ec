/** What transfer.ts says at the end of a transfer, at either side. */
export interface TransferReport {
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

/** The last line of its output. */
export function transferReport(output: string): TransferReport {
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as TransferReport;
}
