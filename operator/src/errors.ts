export type ConfigErrorCode =
  /** The command line is not `--config <file>`. */
  "USAGE" | "CONFIG_UNREADABLE" | "CONFIG_INVALID";

export class ConfigError extends Error {
  readonly code: ConfigErrorCode;
  constructor(code: ConfigErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConfigError";
    this.code = code;
  }
}
