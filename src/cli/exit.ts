/** Exit codes of the commands, and the error that carries one without a message. */

/** As mount(8). */
export const EXIT = {
  ok: 0,
  /** Usage or permissions; for status: degraded. */
  usage: 1,
  /** The system would not; for status: failed. */
  system: 2,
  internal: 4,
  /** Ended by the user before it was done. */
  interrupted: 8,
  mountFailure: 32,
} as const;

/** Ends the command with this code; everything has been said already. */
export class ExitError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${String(exitCode)}`);
    this.exitCode = exitCode;
  }
}
