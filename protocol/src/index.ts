/** What operator and agent both speak. Pure: no I/O, time and randomness are passed in. */
export * from "./documents/document.ts";
export * from "./documents/errors.ts";
export * from "./documents/node-snapshot.ts";
export * from "./documents/trust-root.ts";
export * from "./enrolment/join.ts";
export * from "./enrolment/node-facts.ts";
export * from "./enrolment/problem.ts";
export * from "./enrolment/request-signature.ts";
export * from "./envelopes/envelope.ts";
export * from "./identity/csr.ts";
export * from "./identity/errors.ts";
export * from "./identity/fingerprint.ts";
export * from "./identity/spiffe.ts";
export * from "./ip/cidr.ts";
export * from "./ip/endpoint.ts";
export * from "./identity/x509.ts";
export * from "./token/token.ts";
