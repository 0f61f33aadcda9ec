/** A measurement that could not be made, with its reason for people. One of them ends its sample and not the run. */
export class BenchError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BenchError";
  }
}
