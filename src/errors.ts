/** Coded errors: one class, one table of codes. docs/errors.md says the same for users. */

export const ERROR_CODES = {
  ERR_DMIOFS_USAGE: 'a command was called with wrong arguments',
  ERR_DMIOFS_CONFIG: 'the config file has errors; each is listed with its line and column',
  ERR_DMIOFS_INIT: 'image files or logs could not be created',
  ERR_DMIOFS_MOUNT: 'a mount could not be made',
  ERR_DMIOFS_NOT_MOUNTED: 'nothing of dmiofs is mounted there',
  ERR_DMIOFS_BUSY: 'a file of the mount is open',
  ERR_DMIOFS_TIMEOUT: 'no answer within the time allowed',
  ERR_DMIOFS_CONTROL: 'a control verb was refused: it is unknown, has wrong arguments, or cannot be done now',
  ERR_DMIOFS_TABLE: 'a table line of a kernel mirror cannot be read, or none can be made of a set',
  ERR_DMIOFS_INVALID_ARG: 'an argument of the dm-io API has a wrong type or is out of range; it is named',
  ERR_DMIOFS_CLOSED: 'the object was closed',
  ERR_DMIOFS_UNBALANCED: 'dmIoPut of more pages than were got',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class DmiofsError extends Error {
  readonly code: ErrorCode;
  /** The positive errno of the system call that failed, where there was one. */
  readonly errno: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options?: { readonly cause?: unknown; readonly errno?: number },
  ) {
    super(message, options);
    this.name = 'DmiofsError';
    this.code = code;
    this.errno = options?.errno;
  }
}

export function isDmiofsError(error: unknown): error is DmiofsError {
  return error instanceof Error && 'code' in error && Object.hasOwn(ERROR_CODES, String(error.code));
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
