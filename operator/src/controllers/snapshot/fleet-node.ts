/** A node as the snapshot compiler sees it: ledger, FabricNode and observations joined. */

export interface FleetNode {
  readonly nodeId: string;
  readonly nodeName: string;
  readonly fingerprint: string;
  /** Overlay addresses. */
  readonly addresses: { readonly ipv4: string; readonly ipv6: string };
  readonly state: "Active" | "Suspended" | "Revoked";
  readonly revokedReason: string;
  /** Unix seconds; null before its first certificate. */
  readonly certificateNotAfter: number | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly declaredLocality: string | undefined;
  /** `ip:port` that the node reports of itself. */
  readonly reported: readonly string[];
  /** `ip:port` that the operator saw it come from; null when it never did. */
  readonly observed: string | null;
}
