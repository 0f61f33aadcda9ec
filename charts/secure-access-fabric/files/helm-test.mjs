// What `helm test` runs, in the operator's image: is an operator there, does one rule, and does the Service lead to it?
import { get as getHttp } from "node:http";
import { request } from "node:https";
import { readFileSync } from "node:fs";

const [namespace] = process.argv.slice(-1);
const service = `fabric-operator.${namespace}.svc`;
// The kubelet's variables spare the test the cluster's DNS.
const {
  FABRIC_OPERATOR_SERVICE_HOST: serviceAddress,
  FABRIC_OPERATOR_TELEMETRY_SERVICE_HOST: telemetryAddress,
} = process.env;

function answer(outgoing) {
  return new Promise((resolve, reject) => {
    outgoing.setTimeout(5_000, () => outgoing.destroy(new Error("no answer within 5 s")));
    outgoing.on("error", reject).on("response", (response) => {
      response.resume();
      resolve(response);
    });
    outgoing.end();
  });
}

async function check(what, work, advice) {
  try {
    await work();
    console.log(`ok    ${what}`);
  } catch (error) {
    console.log(`FAIL  ${what}: ${error.message}\n      ${advice}`);
    process.exitCode = 1;
  }
}

await check(
  "an operator is ready",
  async () => {
    const { statusCode } = await answer(getHttp(`http://${telemetryAddress}:8080/readyz`));
    if (statusCode !== 200) throw new Error(`/readyz says ${statusCode}`);
  },
  `kubectl --namespace ${namespace} logs deployment/fabric-operator --container operator`,
);
await check(
  "an operator rules: it published what nodes trust",
  async () => readFileSync("/etc/fabric-trust/ca.crt"),
  `kubectl --namespace ${namespace} get clusters; without a Cluster there is nothing to rule`,
);
await check(
  "the Service leads to it, and its certificate is the fabric's",
  async () => {
    const ca = readFileSync("/etc/fabric-trust/ca.crt");
    await answer(request({ host: serviceAddress, servername: service, port: 8443, path: "/", ca }));
  },
  `kubectl --namespace ${namespace} get endpointslice fabric-operator`,
);
