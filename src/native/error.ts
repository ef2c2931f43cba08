/** Errors of the addon (native/addon/convert.h). */

/** What the addon throws for a failed system call: `code` is the errno's name. */
export interface NativeError extends Error {
  readonly code: string;
  /** Positive errno. */
  readonly errno: number;
  /** What failed, e.g. `open`. */
  readonly step: string;
  /** On what, e.g. a path; may be empty. */
  readonly object: string;
  /** What to do about it; may be empty. */
  readonly hint: string;
}

/** Whether `error` is one that the addon threw for a failed system call. */
export function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'step' in error && 'errno' in error;
}
