// The hook before `helm uninstall`: deletes members and tokens, and waits until the operator has let them go. Then their
// finalizers are done, and neither the namespace nor the kinds hang when they are deleted.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";

const [namespace, seconds] = process.argv.slice(-2);
const account = "/var/run/secrets/kubernetes.io/serviceaccount";
const ca = readFileSync(`${account}/ca.crt`);
const token = readFileSync(`${account}/token`, "utf8");

function call(method, plural) {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      method,
      host: process.env.KUBERNETES_SERVICE_HOST,
      port: process.env.KUBERNETES_SERVICE_PORT,
      path: `/apis/fabric.saf.dev/v1alpha1/namespaces/${namespace}/${plural}`,
      headers: { authorization: `Bearer ${token}` },
      ca,
      timeout: 10_000,
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("the API server does not answer")));
    outgoing.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode === 404) resolve({ items: [] });
        else if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${plural}: ${response.statusCode} ${text.slice(0, 500)}`));
      });
    });
    outgoing.end();
  });
}

const deadline = Date.now() + Number(seconds) * 1000;
const plurals = ["fabricnodes", "jointokens"];
for (const plural of plurals) await call("DELETE", plural);
for (;;) {
  const lists = await Promise.all(plurals.map((plural) => call("GET", plural)));
  const left = lists.flatMap((list, at) =>
    list.items.map(({ metadata }) => `${plurals[at]}/${metadata.name}`),
  );
  if (left.length === 0) break;
  if (Date.now() > deadline) {
    console.error(
      `still there after ${seconds} s: ${left.slice(0, 20).join(" ")}\nDoes an operator rule? kubectl get clusters`,
    );
    process.exit(1);
  }
  await delay(500);
}
console.log("every member was taken leave of");
