/** Writes a new file and sees to it that it lasts. */
import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';

/**
 * Makes `path` with all of `text`, on stable storage when it returns. Throws EEXIST when something is there, and ENOSPC when not all of it
 * fits: then a part of it may be there.
 */
export function writeSynced(path: string, text: string, mode: number): void {
  const fd = openSync(path, 'wx', mode);
  try {
    // Not writeSync(): that may write a part and say so by its result only.
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
