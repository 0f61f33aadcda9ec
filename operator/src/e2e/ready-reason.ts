/** Why an object is Ready or not, as its status says. */
export interface Conditioned {
  readonly status?:
    | { readonly conditions?: readonly { type: string; status: string; reason: string }[] | undefined }
    | undefined;
}

export const reasonOf = (object: Conditioned | undefined): string | undefined =>
  object?.status?.conditions?.find(({ type }) => type === "Ready")?.reason;
