/** Names of the API group. */
export const GROUP = "fabric.saf.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}` as const;
/** `kubectl get fabric` lists every kind of the group. */
export const CATEGORY = "fabric";
