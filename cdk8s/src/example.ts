/**
 * An app: a fabric named home, relays in Dallas, and a rack of servers with a token.
 *
 *   node cdk8s/src/example.ts [folder]     writes dist/home.k8s.yaml; needs helm
 */
import { App, Chart } from "cdk8s";
import { NodeEnrolment, SecureAccessFabric } from "./index.ts";

export function exampleApp(outdir: string, helmExecutable?: string): App {
  const app = new App({ outdir });
  const namespace = "home";
  const chart = new Chart(app, "home", { namespace });
  new SecureAccessFabric(chart, "fabric", {
    namespace,
    ...(helmExecutable === undefined ? {} : { helmExecutable }),
    values: { operator: { service: { clusterIP: "10.96.7.7" } } },
    cluster: {
      name: "home",
      spec: {
        trustDomain: "home.example",
        reachability: "Mesh",
        addressPools: { ipv4: "100.96.0.0/16", ipv6: "fd5a:f00d::/64" },
        endpoints: { enrolment: ["https://10.96.7.7:8443"], control: ["10.96.7.7:7443"] },
      },
    },
  });
  new NodeEnrolment(chart, "rack-7", {
    metadata: { namespace },
    token: {
      tokenHash: "sha256:c2FsdHNhbHRzYWx0c2FsdA:q8LkGZ0R5o3g1C4T8Yb2Qn7xVw6uJtP9sDfHkEmAaUc",
      expiresAt: "2030-01-01T00:00:00Z",
      maxUses: 10,
    },
    roles: [{ role: "relay", nodeSelector: { matchLabels: { site: "dallas" } } }],
  });
  return app;
}

if (import.meta.main) exampleApp(process.argv[2] ?? "dist").synth();
