/**
 * Who decided is taken from the API server: a request may add, change or remove only the entry of its own user in a
 * JoinRequest's `spec.approvals`. Comparing whole entries in both directions covers all three, and CREATE, where no old
 * entries exist; an entry moved to another user's name is a removed and an added one.
 */
const NAME = "approvals.joinrequests.fabric.saf.dev";

const OWN = (entry: string) => `${entry}.user == request.userInfo.username`;

/** ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1) and its binding. */
export function approvalsPolicy(): object[] {
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: NAME },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          matchPolicy: "Equivalent",
          resourceRules: [
            {
              apiGroups: ["fabric.saf.dev"],
              apiVersions: ["*"],
              operations: ["CREATE", "UPDATE"],
              resources: ["joinrequests", "joinrequests/*"],
              scope: "*",
            },
          ],
        },
        variables: [
          {
            name: "before",
            expression: "oldObject != null && has(oldObject.spec.approvals) ? oldObject.spec.approvals : []",
          },
          { name: "after", expression: "has(object.spec.approvals) ? object.spec.approvals : []" },
        ],
        validations: [
          {
            expression: `variables.after.all(entry, ${OWN("entry")} || entry in variables.before)`,
            reason: "Forbidden",
            messageExpression:
              "'spec.approvals: an entry can be added or changed only by its own user; you are ' + request.userInfo.username",
          },
          {
            expression: `variables.before.all(entry, ${OWN("entry")} || entry in variables.after)`,
            reason: "Forbidden",
            messageExpression:
              "'spec.approvals: an entry can be changed or removed only by its own user; you are ' + request.userInfo.username",
          },
        ],
      },
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name: NAME },
      spec: { policyName: NAME, validationActions: ["Deny"] },
    },
  ];
}
