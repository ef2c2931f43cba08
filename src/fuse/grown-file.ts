/**
 * The size of a file that the kernel takes for longer than it is. With the writeback cache the kernel owns the sizes: it takes a write beyond the
 * end, and only a truncate that comes through the mount makes it forget. A process must never use the mount that it serves (it could not even be
 * killed when the session dies below it), so a child does: truncate(1).
 */
import { execFile } from 'node:child_process';
import type { Logger } from 'pino';

/** Milliseconds. */
const PATIENCE = 30_000;

export function putSizeRight(path: string, bytes: number, log: Logger): void {
  const size = String(bytes);
  execFile('truncate', ['--no-create', `--size=${size}`, '--', path], { timeout: PATIENCE }, (error) => {
    if (error === null)
      log.warn({ file: path, size }, 'something was written beyond the end of a file: it failed');
    else
      log.error(
        { file: path, error: error.message },
        `something was written beyond the end of ${path}, and it shows a wrong size until: truncate -s ${size} ${path}`,
      );
  });
}
