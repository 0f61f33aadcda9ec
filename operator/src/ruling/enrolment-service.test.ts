import { hostsOf } from "./enrolment-service.ts";

it("takes hosts from URLs as certificates name them", () => {
  const enrolment = ["https://192.0.2.1:8443", "https://fabric.example:8443", "https://[2001:db8::1]:8443"];
  expect(hostsOf({ endpoints: { enrolment, control: [] } })).toEqual([
    "192.0.2.1",
    "fabric.example",
    "2001:db8::1",
  ]);
});
