/** What can go wrong in a lab. The code is stable; the message is for people. */
export type LabErrorCode =
  | "TOPOLOGY_INVALID" // the description names what it does not define, or a name that cannot be an interface's
  | "COMMAND_FAILED" // a command in a host, or one that sets up the lab, ended with another code than 0
  | "UNKNOWN_HOST"
  | "UNKNOWN_PROCESS"
  | "ALREADY_RUNNING"
  | "DOOR_FAILED";

export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LabError";
    this.code = code;
  }
}
