/** A kubeconfig for one user of one API server, as the JSON that every Kubernetes client reads as YAML. */
export interface KubeconfigInput {
  readonly url: string;
  /** The CA certificate, PEM. */
  readonly ca: string;
  readonly user: string;
  readonly token: string;
  /** What `kubectl` uses without `-n`. */
  readonly namespace?: string;
}

export function renderKubeconfig({ url, ca, user, token, namespace }: KubeconfigInput): string {
  const cluster = { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  const context = { cluster: "fabric", user, ...(namespace === undefined ? {} : { namespace }) };
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "fabric", cluster }],
      users: [{ name: user, user: { token } }],
      contexts: [{ name: "fabric", context }],
      "current-context": "fabric",
    },
    null,
    2,
  );
}
