/** What a node may do. Given by RoleAssignment only; asked for in a JoinRequest, limited by a JoinToken. */
import { z } from "zod";

export const ROLES = [
  "mobile-edge",
  "entry",
  "relay",
  "exit",
  "service-host",
  "control-plane",
  "route-coordinator",
  "storage",
  "observer",
  "update-cache",
  "web-ingress",
  "vpn-exit",
  "vpn-connector",
] as const;

export const role = z.enum(ROLES);

export type Role = z.infer<typeof role>;
